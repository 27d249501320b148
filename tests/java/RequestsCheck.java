package penstock.stream;

import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.DriverTimeoutException;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.metadata.Metadata;
import java.io.IOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

/** Drives {@link Requests} against a session of its own making; prints what was sent, for the test in Python. */
public final class RequestsCheck {
    private static final int ROW_BYTES = 100;
    private static final int BATCH_BYTES = 1_000;

    /** Answers when it is told to, or at once; `failing` requests fail first. */
    private static final class Session implements InvocationHandler {
        final List<Integer> sent = new ArrayList<>();
        final Deque<CompletableFuture<Object>> open = new ArrayDeque<>();
        boolean atOnce;
        int failing;
        RuntimeException failure;
        int mostOpen;

        @Override
        public synchronized Object invoke(Object proxy, java.lang.reflect.Method method, Object[] arguments) {
            if (method.getName().equals("getMetadata")) {
                return fake(Metadata.class, (p, m, a) -> Map.of());
            }
            return executed(arguments[0]);
        }

        private CompletionStage<Object> executed(Object statement) {
            sent.add(statement instanceof BatchStatement batch ? batch.size() : 1);
            CompletableFuture<Object> answer = new CompletableFuture<>();
            if (failing > 0) {
                failing--;
                answer.completeExceptionally(failure);
            } else if (atOnce) {
                answer.complete(null);
            } else {
                open.add(answer);
                mostOpen = Math.max(mostOpen, open.size());
                notifyAll();
            }
            return answer;
        }

        /** Waits for a request and answers it; false when there is none for a while. */
        boolean answerOne() throws InterruptedException {
            CompletableFuture<Object> answer;
            synchronized (this) {
                if (open.isEmpty()) {
                    wait(500);
                }
                answer = open.poll();
            }
            return answer != null && answer.complete(null);
        }
    }

    @SuppressWarnings("unchecked")
    private static <T> T fake(Class<T> type, InvocationHandler handler) {
        return (T) Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler);
    }

    private static Requests requests(Session session, int patienceMs) {
        Map<String, String> options = Map.of(
                "keyspace", "k", "consistency", "LOCAL_QUORUM", "request_timeout_ms", "1000",
                "patience_ms", String.valueOf(patienceMs), "batch_bytes", String.valueOf(BATCH_BYTES));
        return new Requests(fake(CqlSession.class, session), new Options(new HashMap<>(options)));
    }

    private static void add(Requests requests, int rows) throws IOException {
        for (int row = 0; row < rows; row++) {
            requests.add(fake(BoundStatement.class, (proxy, method, arguments) -> proxy), ROW_BYTES);
        }
    }

    private static void sparse() throws Exception {
        Session session = new Session();
        session.atOnce = true;
        Requests requests = requests(session, 1_000);
        add(requests, 5);
        requests.finish();
        System.out.println(session.sent);
    }

    private static void flood() throws Exception {
        Session session = new Session();
        Requests requests = requests(session, 1_000);
        Thread task = new Thread(() -> {
            try {
                add(requests, 500);
                requests.finish();
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        });
        task.start();
        // Nothing is answered before the task has to wait, so that as much is under way as may be.
        while (task.getState() != Thread.State.WAITING && task.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        while (session.answerOne() || task.isAlive()) {}
        int rows = session.sent.stream().mapToInt(Integer::intValue).sum();
        int largest = session.sent.stream().mapToInt(Integer::intValue).max().orElse(0);
        System.out.println(List.of(rows, largest, session.mostOpen, session.sent.get(0), session.sent.get(1)));
    }

    private static void failing(RuntimeException failure, int times, int patienceMs) throws Exception {
        Session session = new Session();
        session.atOnce = true;
        session.failing = times;
        session.failure = failure;
        Requests requests = requests(session, patienceMs);
        try {
            add(requests, 1);
            requests.finish();
            System.out.println("acknowledged after " + session.sent.size());
        } catch (IOException error) {
            System.out.println(error.getMessage() + " after " + session.sent.size());
        }
    }

    private static void interrupted() throws Exception {
        Session session = new Session();
        Requests requests = requests(session, 1_000);
        add(requests, 1);
        Thread.currentThread().interrupt();
        try {
            requests.finish();
        } catch (java.io.InterruptedIOException error) {
            System.out.println(error.getMessage());
        }
    }

    /** Each scenario on a line of its own, in the order of the test. */
    public static void main(String[] arguments) throws Exception {
        sparse();
        flood();
        failing(new DriverTimeoutException("late"), 2, 60_000);
        failing(new DriverTimeoutException("late"), Integer.MAX_VALUE, 200);
        failing(new IllegalStateException("wrong"), 1, 60_000);
        interrupted();
        System.exit(0);
    }
}
