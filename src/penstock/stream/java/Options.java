package penstock.stream;

import java.io.Serializable;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/** The query's options, as {@code penstock.stream.sink.options} writes them. Some are secret: never for a log. */
record Options(HashMap<String, String> given) implements Serializable {
    String text(String name) {
        String value = given.get(name);
        if (value == null) {
            throw new IllegalArgumentException("option " + name + " of the sink is absent");
        }
        return value;
    }

    int number(String name) {
        return Integer.parseInt(text(name));
    }

    Duration millis(String name) {
        return Duration.ofMillis(Long.parseLong(text(name)));
    }

    /** Those whose names begin with the prefix, without it. */
    Map<String, Object> of(String prefix) {
        Map<String, Object> found = new HashMap<>();
        given.forEach((name, value) -> {
            if (name.startsWith(prefix)) {
                found.put(name.substring(prefix.length()), value);
            }
        });
        return found;
    }

    @Override
    public String toString() {
        return "Options" + given.keySet();
    }
}
