package penstock.stream;

import com.datastax.oss.driver.api.core.AllNodesFailedException;
import com.datastax.oss.driver.api.core.ConsistencyLevel;
import com.datastax.oss.driver.api.core.CqlIdentifier;
import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.DefaultConsistencyLevel;
import com.datastax.oss.driver.api.core.DriverTimeoutException;
import com.datastax.oss.driver.api.core.NodeUnavailableException;
import com.datastax.oss.driver.api.core.RequestThrottlingException;
import com.datastax.oss.driver.api.core.connection.BusyConnectionException;
import com.datastax.oss.driver.api.core.connection.ClosedConnectionException;
import com.datastax.oss.driver.api.core.connection.HeartbeatException;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchType;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.Statement;
import com.datastax.oss.driver.api.core.metadata.TokenMap;
import com.datastax.oss.driver.api.core.servererrors.BootstrappingException;
import com.datastax.oss.driver.api.core.servererrors.OverloadedException;
import com.datastax.oss.driver.api.core.servererrors.QueryExecutionException;
import com.datastax.oss.driver.api.core.servererrors.ServerError;
import com.datastax.oss.driver.api.core.servererrors.TruncateException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * One task's writes on their way to Cassandra.
 *
 * <p>While few requests are under way a row goes at once; while many are, rows gather, those of one set of replicas in
 * one unlogged batch. So neither latency nor rate needs a setting. What waits is bounded: a slow Cassandra slows the
 * task that reads. A request that fails for a reason that may pass is sent again until its time is used up.
 */
final class Requests {
    /** With less under way a row does not wait for others. */
    private static final int EAGER = 2;
    private static final int MOST_UNDER_WAY = 8;
    /** Of requests that are under way together: each executor runs a task a partition. One that is larger goes alone. */
    private static final int MOST_BYTES_UNDER_WAY = 4 * 1024 * 1024;
    /** Of rows that gather, in batches: each set of replicas has one. */
    private static final int MOST_WAITING = 8;
    private static final long FIRST_PAUSE_MS = 50;
    private static final long LONGEST_PAUSE_MS = 5_000;
    private static final Object ANYWHERE = new Object();
    private static final ScheduledExecutorService PAUSES = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread thread = new Thread(work, "penstock-pauses");
        thread.setDaemon(true);
        return thread;
    });

    private final CqlSession session;
    private final CqlIdentifier keyspace;
    private final ConsistencyLevel consistency;
    private final Duration timeout;
    private final Duration patience;
    private final int batchBytes;
    private final TokenMap tokens;
    private final Map<Object, Batch> gathering = new LinkedHashMap<>();
    private int gatheredBytes;
    private int underWay;
    private long bytesUnderWay;
    private boolean abandoned;
    private Throwable failure;

    private static final class Batch {
        final List<BoundStatement> statements = new ArrayList<>();
        int bytes;

        void add(BoundStatement statement, int more) {
            statements.add(statement);
            bytes += more;
        }
    }

    Requests(CqlSession session, Options options) {
        this.session = session;
        keyspace = CqlIdentifier.fromInternal(options.text("keyspace"));
        consistency = DefaultConsistencyLevel.valueOf(options.text("consistency"));
        timeout = options.millis("request_timeout_ms");
        patience = options.millis("patience_ms");
        batchBytes = options.number("batch_bytes");
        boolean several = session.getMetadata().getNodes().size() > 1;
        tokens = several ? session.getMetadata().getTokenMap().orElse(null) : null;
    }

    /** A row of so many bytes. */
    synchronized void add(BoundStatement statement, int bytes) throws IOException {
        throwFailure();
        Object replicas = replicas(statement);
        Batch batch = gathering.computeIfAbsent(replicas, any -> new Batch());
        if (!batch.statements.isEmpty() && batch.bytes + bytes > batchBytes) {
            sendWhenThereIsRoom(replicas);
            batch = gathering.computeIfAbsent(replicas, any -> new Batch());
        }
        batch.add(statement, bytes);
        gatheredBytes += bytes;
        if (underWay < EAGER && hasRoomFor(batch)) {
            send(replicas);
        } else if (gatheredBytes > MOST_WAITING * batchBytes) {
            sendWhenThereIsRoom(largest());
        }
    }

    /** One that shares no batch: it is of another table. */
    synchronized void addAlone(BoundStatement statement, int bytes) throws IOException {
        Batch alone = new Batch();
        alone.add(statement, bytes);
        waitForRoom(alone);
        start(alone);
    }

    /** Returns when everything is acknowledged. */
    synchronized void finish() throws IOException {
        while (!gathering.isEmpty()) {
            sendWhenThereIsRoom(largest());
        }
        while (underWay > 0) {
            waitForAnswer();
        }
        throwFailure();
    }

    /** What is under way may arrive yet, which changes nothing. */
    synchronized void abandon() {
        abandoned = true;
        gathering.clear();
    }

    private Object replicas(BoundStatement statement) {
        ByteBuffer key = tokens == null ? null : statement.getRoutingKey();
        return key == null ? ANYWHERE : tokens.getReplicas(keyspace, key);
    }

    private Object largest() {
        return gathering.entrySet().stream()
                .max(Comparator.comparingInt(entry -> entry.getValue().bytes))
                .orElseThrow()
                .getKey();
    }

    private void sendWhenThereIsRoom(Object replicas) throws IOException {
        waitForRoom(gathering.get(replicas));
        send(replicas); // unless an answer that came meanwhile has sent it
    }

    private void waitForRoom(Batch batch) throws IOException {
        throwFailure();
        while (!hasRoomFor(batch)) {
            waitForAnswer();
        }
    }

    private boolean hasRoomFor(Batch batch) {
        return underWay == 0
                || underWay < MOST_UNDER_WAY && bytesUnderWay + batch.bytes <= MOST_BYTES_UNDER_WAY;
    }

    private void waitForAnswer() throws IOException {
        try {
            wait();
        } catch (InterruptedException error) {
            throw (IOException) new InterruptedIOException("stopped while rows were written").initCause(error);
        }
        throwFailure();
    }

    private void send(Object replicas) {
        Batch batch = gathering.remove(replicas);
        if (batch != null && !batch.statements.isEmpty()) {
            gatheredBytes -= batch.bytes;
            start(batch);
        }
    }

    private void start(Batch batch) {
        underWay++;
        bytesUnderWay += batch.bytes;
        new Request(statement(batch.statements), batch.bytes).send();
    }

    private Statement<?> statement(List<BoundStatement> statements) {
        if (statements.size() == 1) {
            return statements.get(0).setIdempotent(true).setConsistencyLevel(consistency).setTimeout(timeout);
        }
        return BatchStatement.builder(BatchType.UNLOGGED)
                .addStatements(statements.toArray(BoundStatement[]::new))
                .setIdempotence(true)
                .setConsistencyLevel(consistency)
                .setTimeout(timeout)
                .build();
    }

    private synchronized void answered(int bytes, Throwable error) {
        underWay--;
        bytesUnderWay -= bytes;
        failure = failure == null ? error : failure;
        if (failure == null && !abandoned && underWay < EAGER && !gathering.isEmpty()) {
            Object replicas = largest();
            if (hasRoomFor(gathering.get(replicas))) {
                send(replicas);
            }
        }
        notifyAll();
    }

    private synchronized boolean goesOn() {
        return !abandoned && failure == null;
    }

    private void throwFailure() throws IOException {
        if (failure != null) {
            throw new IOException("cassandra did not take rows: " + failure, failure);
        }
    }

    /** One request, with what becomes of it. */
    private final class Request {
        private final Statement<?> statement;
        private final int bytes;
        private long firstFailedNs;
        private long pauseMs = FIRST_PAUSE_MS;

        Request(Statement<?> statement, int bytes) {
            this.statement = statement;
            this.bytes = bytes;
        }

        void send() {
            try {
                session.executeAsync(statement).whenComplete((result, error) -> answer(error));
            } catch (RuntimeException error) { // the session is closed, or the driver refuses the statement
                answer(error);
            }
        }

        private void answer(Throwable error) {
            if (error == null || !mayPass(error) || !goesOn() || isLate()) {
                answered(bytes, error);
                return;
            }
            long waitMs = pauseMs / 2 + ThreadLocalRandom.current().nextLong(pauseMs);
            pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
            PAUSES.schedule(this::send, waitMs, TimeUnit.MILLISECONDS);
        }

        private boolean isLate() {
            firstFailedNs = firstFailedNs == 0 ? System.nanoTime() : firstFailedNs;
            return System.nanoTime() - firstFailedNs > patience.toNanos();
        }
    }

    /** Whether the same request may succeed later: the node is away or busy, and does not call the request wrong. */
    private static boolean mayPass(Throwable error) {
        if (error instanceof AllNodesFailedException all) {
            return all.getAllErrors().values().stream().flatMap(List::stream).allMatch(Requests::mayPass);
        }
        return error instanceof DriverTimeoutException
                || error instanceof NodeUnavailableException
                || error instanceof RequestThrottlingException
                || error instanceof BusyConnectionException
                || error instanceof ClosedConnectionException
                || error instanceof HeartbeatException
                || error instanceof BootstrappingException
                || error instanceof OverloadedException
                || error instanceof ServerError
                || (error instanceof QueryExecutionException && !(error instanceof TruncateException));
    }
}
