package penstock.stream;

import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Map;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.util.ArrayBasedMapData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.unsafe.types.UTF8String;

/** Prints what {@link Values} makes of a value of each type, and what {@link Tally} makes of some rows. */
public final class ValuesCheck {
    private static UTF8String text(String value) {
        return UTF8String.fromString(value);
    }

    private static GenericArrayData texts(String... values) {
        Object[] items = new Object[values.length];
        for (int each = 0; each < values.length; each++) {
            items[each] = text(values[each]);
        }
        return new GenericArrayData(items);
    }

    private static void say(String cql, Object value) {
        ByteBuffer bytes = Values.of(cql).bytes(new GenericInternalRow(new Object[] {value}), 0);
        byte[] found = new byte[bytes.remaining()];
        bytes.duplicate().get(found);
        System.out.println(cql + "\t" + HexFormat.of().formatHex(found));
    }

    private static GenericInternalRow row(int partition, long offset, String run, boolean counted, boolean rejected) {
        return new GenericInternalRow(new Object[] {partition, offset, text(run), text("a"), counted, rejected});
    }

    private static Tally tally(Map<Integer, Long> counted) {
        Tally one = new Tally(counted);
        one.count(row(0, 7, "r", true, false));
        one.count(row(0, 9, "r", true, true));
        one.count(row(0, 8, "s", true, false));
        one.count(row(0, 10, "r", false, false));
        return one;
    }

    public static void main(String[] arguments) {
        say("uuid", text("00000000-0000-4000-8000-0123456789aB"));
        say("text", text("علی"));
        say("bigint", Long.MIN_VALUE);
        say("int", Integer.MIN_VALUE);
        say("double", 0.1);
        say("boolean", true);
        say("timestamp", -1_500L);
        say("blob", new byte[] {0, -1, -17});
        say("decimal", text("-12345678901234567890.50"));
        say("date", text("1500-02-28"));
        say("inet", text("2001:db8::1"));
        say("inet", text("1.2.3.4"));
        say("frozen<list<text>>", texts("b", "", "a"));
        say("frozen<set<text>>", texts("x", "علی", "x"));
        say("frozen<map<text, text>>", new ArrayBasedMapData(texts("b", ""), texts("1", "2")));
        say("frozen<list<text>>", texts());
        Tally sum = new Tally(Map.of());
        sum.add(tally(Map.of(0, 6L)));
        sum.add(tally(Tally.position("{\"0\": 8}")));
        System.out.println(sum.json());
    }
}
