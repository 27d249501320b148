package penstock.stream;

import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Attribute;
import org.apache.spark.sql.catalyst.expressions.BasePredicate;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.Predicate;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.trees.TreePattern;
import org.apache.spark.sql.execution.FilterExec;
import org.apache.spark.sql.execution.InputAdapter;
import org.apache.spark.sql.execution.ProjectExec;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.RDDScanExec;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.WholeStageCodegenExec;
import org.apache.spark.util.Utils;
import scala.collection.immutable.Seq;

/**
 * What becomes of a message: the steps from Kafka's columns to those of {@link Columns}, as Spark planned them once.
 *
 * <p>As a part of the query's plan they would be planned anew for each epoch, and each task of each epoch would
 * generate their code anew, while nothing is read. An executor keeps them ready from one epoch to the next.
 */
public final class Judgement implements Serializable {
    private static final long serialVersionUID = 1;
    private static final Map<String, Kept> KEPT = new ConcurrentHashMap<>();

    private record Step(boolean filters, Seq<Expression> made, Seq<Attribute> of) implements Serializable {}

    /** Those of the latest query of a pipeline that no task uses now. */
    private record Kept(String id, ConcurrentLinkedQueue<Judge> judges) {}

    /** Of the query: another plan makes others. */
    private final String id = UUID.randomUUID().toString();
    private final String pipeline;
    private final Broadcast<byte[]> steps;

    private Judgement(String pipeline, Broadcast<byte[]> steps) {
        this.pipeline = pipeline;
        this.steps = steps;
    }

    /**
     * The steps to these rows, which are made row by row from a relation with Kafka's columns.
     *
     * @throws IllegalArgumentException if they need several rows, or the time at which they run
     */
    public static Judgement of(String pipeline, Dataset<?> judged) {
        QueryExecution execution = ((org.apache.spark.sql.classic.Dataset<?>) judged).queryExecution();
        if (execution.analyzed().containsPattern(TreePattern.CURRENT_LIKE())) {
            throw new IllegalArgumentException("the present time would stay that of the query's start");
        }
        Deque<Step> steps = new ArrayDeque<>();
        SparkPlan plan = execution.executedPlan();
        while (!(plan instanceof RDDScanExec)) {
            if (plan instanceof ProjectExec || plan instanceof FilterExec) {
                steps.push(new Step(plan instanceof FilterExec, plan.expressions(), child(plan).output()));
            } else if (!(plan instanceof WholeStageCodegenExec || plan instanceof InputAdapter)) {
                throw new IllegalArgumentException("not a step of one row: " + plan.nodeName());
            }
            plan = child(plan);
        }
        JavaSparkContext spark = new JavaSparkContext(judged.sparkSession().sparkContext());
        return new Judgement(pipeline, spark.broadcast(Utils.serialize(new ArrayList<>(steps))));
    }

    /** For one task; to be given back by {@link #keep}. */
    Judge judge(int partition) {
        Judge kept = kept().judges().poll();
        Judge judge = kept == null ? built() : kept;
        judge.steps.forEach(step -> step.begin(partition));
        return judge;
    }

    void keep(Judge judge) {
        kept().judges().add(judge);
    }

    /** One after the other: what the first one loads and compiles, the others have. */
    private Judge built() {
        synchronized (KEPT) {
            return new Judge(steps());
        }
    }

    private Kept kept() {
        return KEPT.compute(pipeline, (name, known) -> known != null && known.id().equals(id)
                ? known
                : new Kept(id, new ConcurrentLinkedQueue<>()));
    }

    private ArrayList<Step> steps() {
        return Utils.deserialize(steps.value(), Thread.currentThread().getContextClassLoader());
    }

    private static SparkPlan child(SparkPlan plan) {
        return plan.children().iterator().next();
    }

    /** The compiled steps; of one task at a time. */
    static final class Judge {
        private final ArrayList<Compiled> steps = new ArrayList<>();

        private Judge(ArrayList<Step> plan) {
            for (Step step : plan) {
                steps.add(step.filters()
                        ? new Chosen(Predicate.create(step.made().iterator().next(), step.of()))
                        : new Made(UnsafeProjection.create(step.made(), step.of())));
            }
        }

        /** The row, which is good until the next one is asked for; null where a step leaves it out. */
        InternalRow row(InternalRow message) {
            InternalRow row = message;
            for (int step = 0; step < steps.size() && row != null; step++) {
                row = steps.get(step).row(row);
            }
            return row;
        }
    }

    private interface Compiled {
        void begin(int partition);

        InternalRow row(InternalRow from);
    }

    private record Made(UnsafeProjection by) implements Compiled {
        @Override
        public void begin(int partition) {
            by.initialize(partition);
        }

        @Override
        public InternalRow row(InternalRow from) {
            return by.apply(from);
        }
    }

    private record Chosen(BasePredicate by) implements Compiled {
        @Override
        public void begin(int partition) {
            by.initialize(partition);
        }

        @Override
        public InternalRow row(InternalRow from) {
            return by.eval(from) ? from : null;
        }
    }
}
