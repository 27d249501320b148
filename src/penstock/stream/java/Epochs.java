package penstock.stream;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What the driver's Python does around an epoch; an exception of it ends the query. */
public interface Epochs {
    /** Called before the first row of an epoch is written; returns partition and last offset of what is counted, JSON. */
    String begin();

    /** Called when everything of the epoch is acknowledged; Spark commits it once this has returned. */
    void commit(long epoch, String report);

    /** Where the sink, which Spark makes, finds what Python registered for its query. */
    final class Registry {
        private static final Map<String, Registered> REGISTERED = new ConcurrentHashMap<>();

        private Registry() {}

        public static void register(String name, Epochs epochs, Judgement judgement) {
            REGISTERED.put(name, new Registered(epochs, judgement));
        }

        static Registered of(String name) {
            Registered found = REGISTERED.get(name);
            if (found == null) {
                throw new IllegalStateException("nobody registered for the epochs of " + name);
            }
            return found;
        }
    }

    /** What a query has in the driver. */
    record Registered(Epochs epochs, Judgement judgement) {}
}
