package penstock.stream;

import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.catalog.SupportsWrite;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.LogicalWriteInfo;
import org.apache.spark.sql.connector.write.PhysicalWriteInfo;
import org.apache.spark.sql.connector.write.Write;
import org.apache.spark.sql.connector.write.WriteBuilder;
import org.apache.spark.sql.connector.write.WriterCommitMessage;
import org.apache.spark.sql.connector.write.streaming.StreamingDataWriterFactory;
import org.apache.spark.sql.connector.write.streaming.StreamingWrite;
import org.apache.spark.sql.internal.connector.SupportsStreamingUpdateAsAppend;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * Spark's sink for messages: judges each, and writes rows into Cassandra, dead letters into Kafka, and counts for the
 * driver, in one pass.
 *
 * <p>An epoch (a micro-batch, or what real-time mode commits at a time) is reported to {@link Epochs} when every row
 * and letter of it is acknowledged. One that fails is done again, and writes the same again.
 */
public final class Sink implements TableProvider {
    @Override
    public StructType inferSchema(CaseInsensitiveStringMap options) {
        return new StructType();
    }

    @Override
    public boolean supportsExternalMetadata() {
        return true;
    }

    @Override
    public Table getTable(StructType schema, Transform[] partitioning, Map<String, String> options) {
        return new Target(schema);
    }

    private record Target(StructType schema) implements Table, SupportsWrite {
        @Override
        public String name() {
            return "penstock";
        }

        @Override
        public Set<TableCapability> capabilities() {
            return EnumSet.of(TableCapability.STREAMING_WRITE, TableCapability.ACCEPT_ANY_SCHEMA);
        }

        @Override
        public WriteBuilder newWriteBuilder(LogicalWriteInfo info) {
            Options options = new Options(new HashMap<>(info.options().asCaseSensitiveMap()));
            return (UpdatesAsAppends) () -> new Write() {
                @Override
                public StreamingWrite toStreaming() {
                    return new Stream(options);
                }
            };
        }
    }

    /** Real-time mode asks for output mode "update"; of a query without state its rows are those of "append". */
    private interface UpdatesAsAppends extends SupportsStreamingUpdateAsAppend {
        @Override
        Write build();
    }

    private record Stream(Options options) implements StreamingWrite {
        @Override
        public StreamingDataWriterFactory createStreamingWriterFactory(PhysicalWriteInfo info) {
            Epochs.Registered query = Epochs.Registry.of(options.text("name"));
            return new Factory(options, query.judgement(), Tally.position(query.epochs().begin()));
        }

        @Override
        public void commit(long epoch, WriterCommitMessage[] messages) {
            Tally sum = new Tally(Map.of());
            for (WriterCommitMessage message : messages) {
                sum.add((Tally) message);
            }
            Epochs.Registry.of(options.text("name")).epochs().commit(epoch, sum.json());
        }

        @Override
        public void abort(long epoch, WriterCommitMessage[] messages) {
            // What was written is written again by the next attempt.
        }

        @Override
        public boolean useCommitCoordinator() {
            return false; // whichever attempt of a task ends first: all write the same
        }
    }

    private record Factory(Options options, Judgement judgement, HashMap<Integer, Long> counted)
            implements StreamingDataWriterFactory {
        @Override
        public DataWriter<InternalRow> createWriter(int partition, long task, long epoch) {
            return new TaskWriter(options, judgement, partition, counted);
        }
    }
}
