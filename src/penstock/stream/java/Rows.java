package penstock.stream;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.BoundStatementBuilder;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.spark.connector.cql.CassandraConnector;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.spark.SparkEnv;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * Writes the rows of good records, removes those whose records say so, and keeps which dead letters were resolved.
 *
 * <p>Bound here and not by the connector, whose writer has no way to send what it has gathered before a batch is full.
 * Its session is used, so that every option {@code spark.cassandra.*} holds.
 */
final class Rows {
    private static final int WRITE_TIME_BYTES = 8;

    private final Values[] columns;
    private final int[] keys;
    private final boolean clears;
    private final long ttlMs;
    private final int longestTtlS;
    private final ByteBuffer topic;
    private final CqlSession session;
    private final PreparedStatement insert;
    private final PreparedStatement delete;
    private final PreparedStatement resolve;
    private final Requests requests;

    Rows(Options options) {
        columns = Arrays.stream(options.text("types").split(";")).map(Values::of).toArray(Values[]::new);
        keys = Arrays.stream(options.text("keys").split(";")).mapToInt(Integer::parseInt).toArray();
        clears = options.text("absent").equals("clear");
        ttlMs = Long.parseLong(options.text("ttl_ms"));
        longestTtlS = options.number("longest_ttl_s");
        topic = ByteBuffer.wrap(options.text("topic").getBytes(StandardCharsets.UTF_8));
        session = Connector.ONE.openSession();
        try {
            insert = session.prepare(options.text("insert"));
            delete = session.prepare(options.text("delete"));
            resolve = session.prepare(options.text("resolve"));
            requests = new Requests(session, options);
        } catch (RuntimeException error) {
            session.close();
            throw error;
        }
    }

    /** Returns at once, but where so much is under way that it has to wait. */
    void write(InternalRow row) throws IOException {
        if (row.getBoolean(Columns.DELETED)) {
            delete(row);
        } else {
            insert(row);
        }
        if (!row.isNullAt(Columns.RESOLVED_ITEM)) {
            resolve(row);
        }
    }

    /** Returns when all is acknowledged. */
    void finish() throws IOException {
        requests.finish();
    }

    void abandon() {
        requests.abandon();
    }

    /** The session stays open for the next task. */
    void close() {
        session.close();
    }

    private void insert(InternalRow row) throws IOException {
        long writtenUs = row.getLong(Columns.WRITE_TIME);
        int leftS = ttlMs == 0 ? 0 : secondsLeft(writtenUs);
        if (ttlMs != 0 && leftS <= 1) {
            return;
        }
        BoundStatementBuilder statement = insert.boundStatementBuilder();
        int bytes = WRITE_TIME_BYTES;
        for (int column = 0; column < columns.length; column++) {
            int place = Columns.RECORD + column;
            if (!row.isNullAt(place)) {
                ByteBuffer value = columns[column].bytes(row, place);
                bytes += value.remaining();
                statement = statement.setBytesUnsafe(column, value);
            } else if (clears) {
                statement = statement.setToNull(column);
            }
        }
        statement = statement.setBytesUnsafe(columns.length, Values.number(writtenUs));
        if (ttlMs != 0) {
            statement = statement.setInt(columns.length + 1, leftS);
        }
        requests.add(statement.build(), bytes);
    }

    private void delete(InternalRow row) throws IOException {
        BoundStatementBuilder statement = delete.boundStatementBuilder();
        statement = statement.setBytesUnsafe(0, Values.number(row.getLong(Columns.WRITE_TIME)));
        int bytes = WRITE_TIME_BYTES;
        for (int key = 0; key < keys.length; key++) {
            ByteBuffer value = columns[keys[key]].bytes(row, Columns.RECORD + keys[key]);
            bytes += value.remaining();
            statement = statement.setBytesUnsafe(1 + key, value);
        }
        requests.add(statement.build(), bytes);
    }

    private void resolve(InternalRow row) throws IOException {
        BoundStatement statement = resolve.bind()
                .setBytesUnsafe(0, topic.duplicate())
                .setString(1, row.getUTF8String(Columns.RUN).toString())
                .setString(2, row.getUTF8String(Columns.RESOLVED_ITEM).toString());
        requests.addAlone(statement, row.getUTF8String(Columns.RESOLVED_ITEM).numBytes());
    }

    /** In whole seconds, as Cassandra counts, and never too few: however often a row is written, it goes at once. */
    private int secondsLeft(long writtenUs) {
        double leftMs = writtenUs / 1_000.0 + ttlMs - System.currentTimeMillis();
        return (int) Math.min(Math.ceil(leftMs / 1_000) + 1, longestTtlS);
    }

    /** The executor's one, made from the options of its Spark when the first task needs it. */
    private static final class Connector {
        static final CassandraConnector ONE = CassandraConnector.apply(SparkEnv.get().conf());
    }
}
