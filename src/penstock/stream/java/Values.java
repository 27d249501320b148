package penstock.stream;

import com.datastax.oss.driver.api.core.ProtocolVersion;
import com.datastax.oss.driver.api.core.type.codec.TypeCodecs;
import java.math.BigDecimal;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.catalyst.util.MapData;
import org.apache.spark.unsafe.types.UTF8String;

/** Makes of a value of Spark's what Cassandra's protocol sends, for each type that a field may have. */
@FunctionalInterface
interface Values {
    /** Of a value that is not null. */
    ByteBuffer bytes(SpecializedGetters row, int place);

    /** By the names of {@code penstock.pipelines.types}. */
    static Values of(String cql) {
        return switch (cql) {
            case "uuid" -> (row, place) -> uuid(row.getUTF8String(place).getBytes());
            case "text" -> (row, place) -> ByteBuffer.wrap(row.getUTF8String(place).getBytes());
            case "bigint" -> (row, place) -> number(row.getLong(place));
            case "int" -> (row, place) -> ByteBuffer.allocate(4).putInt(0, row.getInt(place));
            case "double" -> (row, place) -> ByteBuffer.allocate(8).putDouble(0, row.getDouble(place));
            case "boolean" -> (row, place) -> ByteBuffer.wrap(new byte[] {(byte) (row.getBoolean(place) ? 1 : 0)});
            case "timestamp" -> (row, place) -> number(Math.floorDiv(row.getLong(place), 1_000L));
            case "blob" -> (row, place) -> ByteBuffer.wrap(row.getBinary(place));
            case "decimal" -> (row, place) -> decimal(row.getUTF8String(place));
            case "date" -> (row, place) -> date(row.getUTF8String(place));
            case "inet" -> (row, place) -> address(row.getUTF8String(place));
            case "frozen<list<text>>" -> (row, place) -> collection(texts(row.getArray(place)), 1);
            case "frozen<set<text>>" -> (row, place) -> set(texts(row.getArray(place)));
            case "frozen<map<text, text>>" -> (row, place) -> map(row.getMap(place));
            default -> throw new IllegalArgumentException("no type of a field is " + cql);
        };
    }

    static ByteBuffer number(long value) {
        return ByteBuffer.allocate(8).putLong(0, value);
    }

    private static ByteBuffer uuid(byte[] text) {
        return ByteBuffer.allocate(16).putLong(0, hexadecimal(text, 0, 18)).putLong(8, hexadecimal(text, 18, 36));
    }

    private static long hexadecimal(byte[] text, int from, int to) {
        long value = 0;
        for (int place = from; place < to; place++) {
            if (text[place] != '-') {
                value = value << 4 | Character.digit(text[place], 16);
            }
        }
        return value;
    }

    private static ByteBuffer decimal(UTF8String text) {
        return TypeCodecs.DECIMAL.encode(new BigDecimal(text.toString()), ProtocolVersion.DEFAULT);
    }

    private static ByteBuffer date(UTF8String text) {
        return TypeCodecs.DATE.encode(LocalDate.parse(text.toString()), ProtocolVersion.DEFAULT);
    }

    /** Of text that is an address: no name is looked up. */
    private static ByteBuffer address(UTF8String text) {
        try {
            return ByteBuffer.wrap(InetAddress.getByName(text.toString()).getAddress());
        } catch (UnknownHostException error) {
            throw new IllegalArgumentException(error);
        }
    }

    private static ByteBuffer set(List<byte[]> items) {
        TreeSet<byte[]> sorted = new TreeSet<>(Arrays::compareUnsigned);
        sorted.addAll(items);
        return collection(sorted, 1);
    }

    private static ByteBuffer map(MapData map) {
        List<byte[]> keys = texts(map.keyArray());
        List<byte[]> values = texts(map.valueArray());
        TreeMap<byte[], byte[]> sorted = new TreeMap<>(Arrays::compareUnsigned);
        for (int each = 0; each < keys.size(); each++) {
            sorted.put(keys.get(each), values.get(each));
        }
        List<byte[]> items = new ArrayList<>();
        for (Map.Entry<byte[], byte[]> entry : sorted.entrySet()) {
            items.add(entry.getKey());
            items.add(entry.getValue());
        }
        return collection(items, 2);
    }

    private static List<byte[]> texts(ArrayData array) {
        List<byte[]> found = new ArrayList<>(array.numElements());
        for (int each = 0; each < array.numElements(); each++) {
            found.add(array.getUTF8String(each).getBytes());
        }
        return found;
    }

    /** The number of elements, of so many parts each, then each part with its length before it: protocol v5, 6.19. */
    private static ByteBuffer collection(java.util.Collection<byte[]> parts, int partsEach) {
        int size = 4;
        for (byte[] part : parts) {
            size += 4 + part.length;
        }
        ByteBuffer bytes = ByteBuffer.allocate(size).putInt(parts.size() / partsEach);
        parts.forEach(part -> bytes.putInt(part.length).put(part));
        return bytes.flip();
    }
}
