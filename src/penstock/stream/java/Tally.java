package penstock.stream;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * The messages that one task, or one epoch, took: from where to where, and those that were not counted before by the
 * attempt and the run that they are of.
 */
final class Tally implements WriterCommitMessage {
    private static final long serialVersionUID = 1;
    private static final ObjectMapper JSON = new ObjectMapper();

    private record Flow(UTF8String run, UTF8String attempt) implements java.io.Serializable {}

    private static final int READ = 0;
    private static final int REJECTED = 1;
    private static final int FIRST = 0;
    private static final int LAST = 1;

    private final long[] all = new long[2];
    private final LinkedHashMap<Flow, long[]> flows = new LinkedHashMap<>();
    private final HashMap<Integer, long[]> spans = new HashMap<>();
    private final transient Map<Integer, Long> counted;
    private transient Flow latest;
    private transient long[] latestCounts;

    /** Of each partition what is up to an offset was counted: an epoch that is done again may end elsewhere. */
    Tally(Map<Integer, Long> counted) {
        this.counted = counted;
    }

    static HashMap<Integer, Long> position(String json) {
        try {
            return JSON.readValue(json, new TypeReference<HashMap<Integer, Long>>() {});
        } catch (JsonProcessingException error) {
            throw new IllegalArgumentException(error);
        }
    }

    void count(InternalRow row) {
        boolean rejected = row.getBoolean(Columns.REJECTED);
        add(all, 1, rejected ? 1 : 0);
        int partition = row.getInt(Columns.PARTITION);
        long offset = row.getLong(Columns.OFFSET);
        if (row.getBoolean(Columns.COUNTED) && offset > counted.getOrDefault(partition, -1L)) {
            add(countsOf(row.getUTF8String(Columns.RUN), row.getUTF8String(Columns.ATTEMPT)), 1, rejected ? 1 : 0);
        }
        widen(partition, offset, offset);
    }

    void add(Tally other) {
        add(all, other.all[READ], other.all[REJECTED]);
        other.flows.forEach((flow, counts) ->
                add(flows.computeIfAbsent(flow, any -> new long[2]), counts[READ], counts[REJECTED]));
        other.spans.forEach((partition, span) -> widen(partition, span[FIRST], span[LAST]));
    }

    String json() {
        List<Object> counted = new ArrayList<>();
        flows.forEach((flow, counts) -> counted.add(
                List.of(flow.run.toString(), flow.attempt.toString(), counts[READ], counts[REJECTED])));
        Map<String, Object> report = Map.of(
                "read", all[READ], "rejected", all[REJECTED], "flows", counted, "spans", new TreeMap<>(spans));
        try {
            return JSON.writeValueAsString(report);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Messages come run by run, so the last one's counts are nearly always the next one's. */
    private long[] countsOf(UTF8String run, UTF8String attempt) {
        if (latest == null || !latest.run.equals(run) || !latest.attempt.equals(attempt)) {
            latest = new Flow(run.clone(), attempt.clone()); // Spark writes the next row into the same memory
            latestCounts = flows.computeIfAbsent(latest, any -> new long[2]);
        }
        return latestCounts;
    }

    private void widen(int partition, long first, long last) {
        long[] span = spans.computeIfAbsent(partition, any -> new long[] {first, last});
        span[FIRST] = Math.min(span[FIRST], first);
        span[LAST] = Math.max(span[LAST], last);
    }

    private static void add(long[] counts, long read, long rejected) {
        counts[READ] += read;
        counts[REJECTED] += rejected;
    }
}
