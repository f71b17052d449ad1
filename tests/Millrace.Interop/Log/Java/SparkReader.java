// Reads a topic with Spark's structured streaming, twice at the same time, up to the present end. usage: SparkReader SERVERS TOPIC WORK_DIR
// Writes "NAME COUNT DISTINCT" for each of the two queries.
import java.util.*;
import org.apache.spark.sql.*;
import org.apache.spark.sql.streaming.*;

public class SparkReader {
    public static void main(String[] args) throws Exception {
        SparkSession spark = SparkSession.builder().master("local[2]").appName("reader").config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "1").config("spark.local.dir", args[2] + "/tmp").config("spark.sql.warehouse.dir", args[2] + "/w")
            .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate();
        List<StreamingQuery> queries = new ArrayList<>();
        for (String name : List.of("one", "two")) {
            Dataset<Row> rows = spark.readStream().format("kafka").option("kafka.bootstrap.servers", args[0]).option("subscribe", args[1])
                .option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", name.equals("one") ? "37" : "1000").option("failOnDataLoss", "true").load()
                .selectExpr("CAST(value AS STRING) v", "partition", "offset");
            queries.add(rows.writeStream().format("memory").queryName(name).option("checkpointLocation", args[2] + "/c-" + name).trigger(Trigger.AvailableNow()).start());
        }
        for (StreamingQuery q : queries) q.awaitTermination();
        for (String name : List.of("one", "two")) {
            Row r = spark.sql("SELECT count(*), count(DISTINCT v) FROM " + name).first();
            System.out.println(name + " " + r.getLong(0) + " " + r.getLong(1));
        }
        spark.stop();
    }
}
