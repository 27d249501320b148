package penstock.stream;

import static com.datastax.spark.connector.japi.CassandraJavaUtil.column;
import static com.datastax.spark.connector.japi.CassandraJavaUtil.javaFunctions;
import static com.datastax.spark.connector.japi.CassandraJavaUtil.writeTime;

import com.datastax.spark.connector.CassandraRowMetadata;
import com.datastax.spark.connector.ColumnRef;
import com.datastax.spark.connector.cql.TableDef;
import com.datastax.spark.connector.rdd.reader.RowReader;
import com.datastax.spark.connector.rdd.reader.RowReaderFactory;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.apache.spark.util.LongAccumulator;
import scala.Option;
import scala.collection.immutable.IndexedSeq;
import scala.collection.immutable.Seq;

/**
 * Records and rows as the bytes that Cassandra's protocol has for their values, so that Spark can join and compare them
 * whatever their types are.
 *
 * <p>The connector's own DataFrames are no help: for write times they need another Spark, and they round decimals.
 */
public final class Cells {
    private static final StructType TABLE = new StructType()
            .add("key", DataTypes.BinaryType, false)
            .add("found", DataTypes.createArrayType(DataTypes.BinaryType), false)
            .add("times_us", DataTypes.createArrayType(DataTypes.LongType), false);

    private Cells() {}

    /**
     * Every row of a table, read by the connector in so many parts: its key, the values of the cells and when each was
     * written. The connector would find the number of parts in a table that an ordinary role of Cassandra may not read.
     */
    public static Dataset<Row> ofTable(
            SparkSession spark, String keyspace, String table, List<String> keys, List<String> cells, int parts) {
        List<ColumnRef> columns = new ArrayList<>();
        keys.forEach(name -> columns.add(column(name)));
        cells.forEach(name -> columns.add(column(name)));
        cells.forEach(name -> columns.add(writeTime(name)));
        JavaRDD<Row> rows = javaFunctions(spark.sparkContext())
                .cassandraTable(keyspace, table, new Reader(keys.size(), cells.size()))
                .select(columns.toArray(ColumnRef[]::new))
                .coalesce(parts);
        return spark.createDataFrame(rows, TABLE);
    }

    /**
     * Of a frame whose last columns are a record's, of these types: the other columns as they are, the key, null where
     * a part of it is null, and the values of the cells. Adds the rows that were made to {@code counted}.
     */
    public static Dataset<Row> ofRecords(
            Dataset<Row> frame, List<String> types, List<Integer> keys, List<Integer> cells, LongAccumulator counted) {
        StructField[] fields = frame.schema().fields();
        StructField[] kept = Arrays.copyOf(fields, fields.length - types.size());
        StructType schema = new StructType(kept)
                .add("key", DataTypes.BinaryType, true)
                .add("cells", DataTypes.createArrayType(DataTypes.BinaryType), true);
        String[] names = types.toArray(String[]::new);
        int[] keyPlaces = keys.stream().mapToInt(Integer::intValue).toArray();
        int[] cellPlaces = cells.stream().mapToInt(Integer::intValue).toArray();
        JavaRDD<InternalRow> rows = ((org.apache.spark.sql.classic.Dataset<Row>) frame)
                .queryExecution()
                .toRdd()
                .toJavaRDD();
        JavaRDD<Row> made = rows.mapPartitions(found -> {
            Values[] values = Arrays.stream(names).map(Values::of).toArray(Values[]::new);
            return new Iterator<Row>() {
                @Override
                public boolean hasNext() {
                    return found.hasNext();
                }

                @Override
                public Row next() {
                    counted.add(1);
                    return record(found.next(), kept, values, keyPlaces, cellPlaces);
                }
            };
        });
        return frame.sparkSession().createDataFrame(made, schema);
    }

    private static Row record(InternalRow row, StructField[] kept, Values[] types, int[] keys, int[] cells) {
        Object[] values = new Object[kept.length + 2];
        for (int place = 0; place < kept.length; place++) {
            values[place] = row.isNullAt(place) ? null : row.get(place, kept[place].dataType());
            if (values[place] instanceof UTF8String text) {
                values[place] = text.toString();
            }
        }
        byte[][] key = bytes(row, kept.length, types, keys);
        if (!Arrays.asList(key).contains(null)) {
            values[kept.length] = joined(key);
            values[kept.length + 1] = bytes(row, kept.length, types, cells);
        }
        return RowFactory.create(values);
    }

    private static byte[][] bytes(InternalRow row, int first, Values[] types, int[] places) {
        byte[][] found = new byte[places.length][];
        for (int each = 0; each < places.length; each++) {
            int place = first + places[each];
            found[each] = row.isNullAt(place) ? null : array(types[places[each]].bytes(row, place));
        }
        return found;
    }

    /** Each part with its length before it: different keys have different bytes. */
    private static byte[] joined(byte[][] parts) {
        int size = 0;
        for (byte[] part : parts) {
            size += 4 + part.length;
        }
        ByteBuffer bytes = ByteBuffer.allocate(size);
        for (byte[] part : parts) {
            bytes.putInt(part.length).put(part);
        }
        return bytes.array();
    }

    private static byte[] array(ByteBuffer bytes) {
        byte[] found = new byte[bytes.remaining()];
        bytes.duplicate().get(found);
        return found;
    }

    /** Takes values as they came, without a codec. */
    private static final class Reader implements RowReader<Row>, RowReaderFactory<Row> {
        private static final long serialVersionUID = 1;

        private final int keys;
        private final int cells;

        Reader(int keys, int cells) {
            this.keys = keys;
            this.cells = cells;
        }

        @Override
        public Row read(com.datastax.oss.driver.api.core.cql.Row row, CassandraRowMetadata metadata) {
            Long[] times = new Long[cells];
            for (int cell = 0; cell < cells; cell++) {
                int place = keys + cells + cell;
                times[cell] = row.isNull(place) ? null : row.getLong(place);
            }
            return RowFactory.create(joined(bytes(row, 0, keys)), bytes(row, keys, cells), times);
        }

        private static byte[][] bytes(com.datastax.oss.driver.api.core.cql.Row row, int first, int count) {
            byte[][] found = new byte[count][];
            for (int each = 0; each < count; each++) {
                ByteBuffer value = row.getBytesUnsafe(first + each);
                found[each] = value == null ? null : array(value);
            }
            return found;
        }

        @Override
        public Option<Seq<ColumnRef>> neededColumns() {
            return Option.empty();
        }

        @Override
        public RowReader<Row> rowReader(TableDef table, IndexedSeq<ColumnRef> columns) {
            return this;
        }

        @Override
        public Class<Row> targetClass() {
            return Row.class;
        }
    }
}
