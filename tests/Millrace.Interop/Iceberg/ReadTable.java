import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.hadoop.HadoopTables;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Conversions;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/** Reads a table with Iceberg's own library: rows of each snapshot, files with partition and bounds checked against the rows. */
public class ReadTable {
  public static void main(String[] args) throws IOException {
    Table table = new HadoopTables(new Configuration()).load(args[0]);
    if (args.length > 1 && args[1].equals("snapshots")) {
      for (Snapshot snapshot : table.snapshots()) {
        int rows = 0;
        try (CloseableIterable<Record> records = IcebergGenerics.read(table).useSnapshot(snapshot.snapshotId()).build()) {
          for (Record ignored : records) rows++;
        }
        System.out.println(snapshot.snapshotId() + "|" + snapshot.sequenceNumber() + "|" + snapshot.operation() + "|" + rows + "|" + snapshot.summary().get("total-records"));
      }
      return;
    }
    if (args.length > 1 && args[1].equals("files")) {
      try (CloseableIterable<FileScanTask> tasks = table.newScan().includeColumnStats().planFiles()) {
        for (FileScanTask task : tasks) {
          List<String> partition = new ArrayList<>();
          StructLike tuple = task.file().partition();
          for (int i = 0; i < tuple.size(); i++) partition.add(String.valueOf(tuple.get(i, Object.class)));
          List<String> bounds = new ArrayList<>();
          for (Types.NestedField field : table.schema().columns()) {
            if (!field.type().isPrimitiveType()) continue;
            bounds.add(bound(field.type(), task.file().lowerBounds(), field.fieldId()) + ".." + bound(field.type(), task.file().upperBounds(), field.fieldId()));
          }
          System.out.println(task.spec().specId() + "|" + partition + "|" + task.file().recordCount() + "|" + task.deletes().size() + "|" + bounds);
        }
      }
      return;
    }
    // A filter makes the reader prune by partitions and bounds: wrong ones lose rows here.
    IcebergGenerics.ScanBuilder scan = IcebergGenerics.read(table);
    if (args.length > 1) {
      scan = scan.where(org.apache.iceberg.expressions.Expressions.greaterThanOrEqual(args[1], Long.parseLong(args[2])));
    }
    try (CloseableIterable<Record> records = scan.build()) {
      for (Record record : records) System.out.println(row(record));
    }
  }

  static String bound(Type type, Map<Integer, ByteBuffer> bounds, int id) {
    if (bounds == null || !bounds.containsKey(id)) return "?";
    return text(Conversions.<Object>fromByteBuffer(type, bounds.get(id)));
  }

  static String row(Record record) {
    List<String> cells = new ArrayList<>();
    for (int i = 0; i < record.size(); i++) cells.add(text(record.get(i)));
    return String.join("|", cells);
  }

  static String text(Object value) {
    if (value == null) return "null";
    if (value instanceof OffsetDateTime t) return String.valueOf(ChronoUnit.MICROS.between(OffsetDateTime.ofInstant(java.time.Instant.EPOCH, ZoneOffset.UTC), t));
    if (value instanceof LocalDateTime t) return String.valueOf(ChronoUnit.MICROS.between(LocalDateTime.of(1970, 1, 1, 0, 0), t));
    if (value instanceof LocalTime t) return String.valueOf(t.toNanoOfDay() / 1000);
    if (value instanceof Double || value instanceof Float) {
      double d = ((Number) value).doubleValue();
      return Double.isNaN(d) ? "nan" : String.format(Locale.ROOT, "%.6f", d);
    }
    if (value instanceof java.math.BigDecimal d) return d.toPlainString();
    if (value instanceof ByteBuffer b) return HexFormat.of().withUpperCase().formatHex(b.array(), b.arrayOffset() + b.position(), b.arrayOffset() + b.limit());
    if (value instanceof byte[] b) return HexFormat.of().withUpperCase().formatHex(b);
    if (value instanceof Record r) return "{" + row(r).replace("|", ",") + "}";
    if (value instanceof List<?> l) return "[" + String.join(",", l.stream().map(ReadTable::text).toList()) + "]";
    if (value instanceof Map<?, ?> m) {
      List<String> pairs = new ArrayList<>();
      m.forEach((k, v) -> pairs.add(text(k) + "=" + text(v)));
      return "{" + String.join(",", pairs) + "}";
    }
    return value.toString();
  }
}
