// The site's search runs in a worker, which browsers refuse to a page that was opened as a file. For such a page a hidden
// frame does the worker's work: it loads the same script, and messages go to and fro in the same way.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inner = this.frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source !== inner) return;
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        this.onmessage?.(event);
      });
      inner.document.open();
      inner.document.write(
        `<html><body><script>postMessage = (data) => parent.postMessage(data, "*");
        importScripts = (...addresses) => addresses.reduce((before, address) => before.then(() => new Promise((loaded) => {
          const script = document.createElement("script");
          script.src = address;
          script.onload = loaded;
          document.body.appendChild(script);
        })), Promise.resolve());<\/script><script src="${address}"><\/script></body></html>`,
      );
      inner.document.close();
      this.loaded = new Promise((loaded) => (inner.onload = loaded));
    }

    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
