package penstock.stream;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;

/** Publishes dead letters and resolutions, byte by byte as they came. One producer an executor. */
final class Letters {
    private static final String PREFIX = "kafka.";
    private static final Map<Map<String, Object>, KafkaProducer<byte[], byte[]>> PRODUCERS = new ConcurrentHashMap<>();

    private final Map<String, Object> config;
    private KafkaProducer<byte[], byte[]> producer;
    private volatile Exception failure;

    Letters(Options options) {
        config = options.of(PREFIX);
    }

    /** Waits only where more letters are under way than the producer's memory holds. */
    void send(InternalRow letter) throws IOException {
        throwFailure();
        String topic = letter.getUTF8String(Columns.LETTER_TOPIC).toString();
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                topic, bytes(letter, Columns.LETTER_KEY), bytes(letter, Columns.LETTER_VALUE));
        ArrayData headers = letter.getArray(Columns.LETTER_HEADERS);
        for (int each = 0; each < headers.numElements(); each++) {
            InternalRow header = headers.getStruct(each, 2);
            if (!header.isNullAt(1)) { // what is not known of the message
                record.headers().add(header.getUTF8String(0).toString(), bytes(header, 1));
            }
        }
        try {
            producer().send(record, (receipt, error) -> failure = error == null ? failure : error);
        } catch (InterruptException error) {
            throw interrupted(error);
        } catch (KafkaException error) {
            throw givenUp(error);
        }
    }

    /** Returns when all that was sent is acknowledged. */
    void finish() throws IOException {
        if (producer == null) {
            return;
        }
        try {
            producer.flush();
        } catch (InterruptException error) {
            throw interrupted(error);
        }
        throwFailure();
    }

    private KafkaProducer<byte[], byte[]> producer() {
        if (producer == null) {
            producer = PRODUCERS.computeIfAbsent(config, Letters::opened);
        }
        return producer;
    }

    private static KafkaProducer<byte[], byte[]> opened(Map<String, Object> config) {
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private void throwFailure() throws IOException {
        if (failure != null) {
            throw givenUp(failure);
        }
    }

    /** After an error an idempotent producer may refuse everything: the next attempt gets another one. */
    private IOException givenUp(Exception error) {
        if (producer != null && PRODUCERS.remove(config, producer)) {
            producer.close(Duration.ZERO);
        }
        return new IOException("a dead letter was not acknowledged: " + error, error);
    }

    private static IOException interrupted(InterruptException error) {
        return (IOException) new InterruptedIOException("stopped while letters were sent").initCause(error);
    }

    private static byte[] bytes(InternalRow row, int place) {
        return row.isNullAt(place) ? null : row.getBinary(place);
    }
}
