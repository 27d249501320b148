package penstock.stream;

import java.io.IOException;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.connector.write.DataWriter;
import org.apache.spark.sql.connector.write.WriterCommitMessage;

/** One task's part of an epoch. */
final class TaskWriter implements DataWriter<InternalRow> {
    private final Judgement judgement;
    private Judgement.Judge judge;
    private final Rows rows;
    private final Letters letters;
    private final Tally tally;

    TaskWriter(Options options, Judgement judgement, int partition, Map<Integer, Long> counted) {
        this.judgement = judgement;
        judge = judgement.judge(partition);
        tally = new Tally(counted);
        rows = new Rows(options);
        letters = new Letters(options);
    }

    @Override
    public void write(InternalRow message) throws IOException {
        InternalRow row = judge.row(message);
        if (row == null) {
            return;
        }
        tally.count(row);
        if (!row.isNullAt(Columns.LETTER)) {
            letters.send(row.getStruct(Columns.LETTER, Columns.LETTER_FIELDS));
        }
        if (row.getBoolean(Columns.REJECTED)) {
            return;
        }
        rows.write(row);
    }

    /** Returns when Cassandra has acknowledged every row and Kafka every letter. */
    @Override
    public WriterCommitMessage commit() throws IOException {
        rows.finish();
        letters.finish();
        return tally;
    }

    @Override
    public void abort() {
        rows.abandon();
    }

    @Override
    public void close() {
        if (judge != null) { // kept twice, it would work for two tasks at a time
            judgement.keep(judge);
            judge = null;
        }
        rows.close();
    }
}
