// Reads a topic as a member of a group until its input ends. usage: GroupReader SERVERS GROUP TOPIC PROTOCOL NAME [KEY=VALUE ...]
// Writes "owns NAME partition,..." when its assignment changes and "read PARTITION OFFSET VALUE" for each record.
import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;

public class GroupReader {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("group.id", args[1]);
        p.put("group.protocol", args[3]);
        p.put("client.id", args[4]);
        p.put("auto.offset.reset", "earliest");
        p.put("auto.commit.interval.ms", "200");
        p.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        p.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        for (int i = 5; i < args.length; i++) p.put(args[i].split("=", 2)[0], args[i].split("=", 2)[1]);
        AtomicBoolean stop = new AtomicBoolean();
        Thread input = new Thread(() -> { try { while (System.in.read() >= 0) { } } catch (java.io.IOException e) { } stop.set(true); });
        input.setDaemon(true);
        input.start();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p)) {
            consumer.subscribe(List.of(args[2].split(",")));
            Set<TopicPartition> owned = null;
            while (!stop.get()) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(50));
                Set<TopicPartition> now = new TreeSet<>(Comparator.comparing(TopicPartition::toString));
                now.addAll(consumer.assignment());
                if (!now.equals(owned)) { owned = now; System.out.println("owns " + args[4] + " " + String.join(",", owned.stream().map(TopicPartition::toString).toList())); }
                for (ConsumerRecord<String, String> r : records) System.out.println("read " + r.partition() + " " + r.offset() + " " + r.value());
                System.out.flush();
            }
        }
        System.out.println("left " + args[4]);
    }
}
