using System.Globalization;
using System.Text;
using System.Text.Json;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Files;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Scans;

/// <summary>
/// A scan as DuckDB SQL: <c>read_parquet</c> with its <c>schema</c> map, which finds columns by field id, casts widened types and gives
/// a default where a file has no such column. The one place where tables become SQL.
/// </summary>
internal static class ScanSqlWriter
{
    private const int DeleteFilePathId = 2147483546;
    private const int DeletePositionId = 2147483545;

    public static string Write(Table table, TableScan scan, IReadOnlyList<string>? columns)
    {
        var schema = scan.Schema;
        var fields = columns is null
            ? schema.Fields
            : columns.Select(name => schema.Fields.FirstOrDefault(f => f.Name == name) ?? throw new IcebergException(
                $"{table.Ident} has no column '{name}'; it has {string.Join(", ", schema.Fields.Select(f => f.Name))}")).ToArray();
        var output = string.Join(", ", fields.Select(f => Sql.Name(f.Name)));
        if (scan.Files.Count == 0)
            return $"SELECT {string.Join(", ", fields.Select(f => $"NULL::{f.Type.SqlName} AS {Sql.Name(f.Name)}"))} WHERE false";
        var parts = new List<string>();
        foreach (var group in scan.Files.GroupBy(task => (Deletes: DeletesKey(task), Names: NamesKey(table, task), Constants: ConstantsKey(table, task))))
        {
            var files = group.ToList();
            parts.Add(group.Key.Names is null ? Group(table, schema, WithConstants(table, fields, files[0], group.Key.Constants), output, files) : ByName(table, fields, files));
        }
        return string.Join(" UNION ALL ", parts);
    }

    /// <summary>
    /// Null for files that carry field ids. Files without them exist only in tables that say how names map to ids; reading such a file
    /// by id would give nulls without a word.
    /// </summary>
    private static string? NamesKey(Table table, FileScanTask task)
    {
        if (!table.Metadata.Properties.ContainsKey(NameMapping.Property) || task.File.Format != "parquet")
            return null;
        var columns = ParquetFooter.ReadColumns(table.Storage.Files, table.Storage.Resolve(task.File.Path));
        return columns.Any(c => c.FieldId is not null) ? null : string.Join('\n', columns.Select(c => c.Name));
    }

    /// <summary>
    /// Ids of identity partition columns that the file itself does not hold, as in files taken over from Hive: their value is the
    /// partition's. Metrics tell that a column is there; the footer is asked where they are missing or the table says that its writer
    /// left partition columns out.
    /// </summary>
    private static string? ConstantsKey(Table table, FileScanTask task)
    {
        List<int>? missing = null;
        IReadOnlyList<ParquetColumn>? columns = null;
        var spec = table.Metadata.SpecById(task.File.SpecId)!;
        var trusted = table.Metadata.Properties.GetValueOrDefault("write.parquet.write-partition-values") != "false"
            && table.Metadata.Properties.GetValueOrDefault("write.data.partition-columns") != "false";
        foreach (var field in spec.Fields)
        {
            if (field.Transform.Kind != TransformKind.Identity || task.File.Format != "parquet"
                || (trusted && task.File.Metrics.Find(field.SourceId) is not null))
                continue;
            columns ??= ParquetFooter.ReadColumns(table.Storage.Files, table.Storage.Resolve(task.File.Path));
            if (!columns.Any(c => c.FieldId == field.SourceId))
                (missing ??= []).Add(field.SourceId);
        }
        // Files of one partition alone have the same constants.
        return missing is null ? null : string.Join(',', missing) + "|" + Commits.SummaryChange.KeyOf(task.File);
    }

    private static IReadOnlyList<NestedField> WithConstants(Table table, IReadOnlyList<NestedField> fields, FileScanTask task, string? key)
    {
        if (key is null)
            return fields;
        var spec = table.Metadata.SpecById(task.File.SpecId)!;
        var missing = key[..key.IndexOf('|', StringComparison.Ordinal)].Split(',').Select(int.Parse).ToHashSet();
        return fields.Select(field =>
        {
            if (!missing.Contains(field.Id) || field.Type is not PrimitiveType type)
                return field;
            var index = spec.Fields.ToList().FindIndex(f => f.SourceId == field.Id && f.Transform.Kind == TransformKind.Identity);
            JsonElement? constant = task.File.Partition[index] is { } value ? SingleValue.ToJson(type, value) : null;
            return field with { InitialDefault = constant };
        }).ToArray();
    }

    /// <summary>Files without field ids: columns by the table's name mapping.</summary>
    private static string ByName(Table table, IReadOnlyList<NestedField> fields, List<FileScanTask> files)
    {
        if (files[0].Deletes.Count > 0)
            throw new IcebergException($"{files[0].File.Path} has no field ids but deletes, which cannot be matched; rewrite it with Iceberg's own tools");
        var mapping = NameMapping.Read(table.Metadata.Properties[NameMapping.Property], table.MetadataLocation);
        var present = ParquetFooter.ReadColumns(table.Storage.Files, table.Storage.Resolve(files[0].File.Path)).Select(c => c.Name).ToHashSet(StringComparer.Ordinal);
        var columns = fields.Select(field =>
        {
            var name = mapping.NamesOf(field.Id).FirstOrDefault(present.Contains);
            var value = name is null ? Default(field) : Sql.Name(name);
            return $"CAST({value} AS {field.Type.SqlName}) AS {Sql.Name(field.Name)}";
        });
        return $"SELECT {string.Join(", ", columns)} FROM read_parquet({Sql.TextList(files.Select(f => table.Storage.Resolve(f.File.Path)))}, hive_partitioning=false)";
    }

    /// <summary>Files with the same deletes can be read together.</summary>
    private static string DeletesKey(FileScanTask task) => string.Join('\n', task.Deletes.Select(d => d.File.Path + "#" + d.File.ContentOffset));

    private static string Group(Table table, IcebergSchema schema, IReadOnlyList<NestedField> fields, string output, List<FileScanTask> files)
    {
        foreach (var file in files)
        {
            if (file.File.Format != "parquet")
                throw new IcebergException($"{file.File.Path} is {file.File.Format}; only Parquet data files can be read");
        }
        var deletes = files[0].Deletes;
        if (deletes.Count == 0)
            return $"SELECT {output} FROM {Read(table, files.Select(f => f.File.Path), fields, false)}";
        var equality = deletes.Where(d => d.File.Content == FileContent.EqualityDeletes).ToList();
        var positions = deletes.Where(d => d.File.Content == FileContent.PositionDeletes).ToList();
        if (positions.FirstOrDefault(d => d.File.IsDeletionVector) is { } vector)
            throw new IcebergException($"{table.Ident} has deletion vectors ({vector.File.Path}), which cannot be read yet; rewrite its data files with the writer that made them");
        var needed = fields.Concat(EqualityFields(table, schema, equality)).DistinctBy(f => f.Id).ToList();
        // Hidden columns keep their ids as names, so that a column dropped and made anew cannot be confused.
        var renamed = needed.Select(f => f with { Name = Hidden(f.Id) }).ToList();
        var sql = new StringBuilder("SELECT ")
            .AppendJoin(", ", fields.Select(f => $"d.{Sql.Name(Hidden(f.Id))} AS {Sql.Name(f.Name)}"))
            .Append(" FROM ").Append(Read(table, files.Select(f => f.File.Path), renamed, positions.Count > 0)).Append(" d WHERE true");
        if (positions.Count > 0)
            sql.Append(PositionFilter(table, files, positions));
        foreach (var group in equality.GroupBy(d => string.Join(',', d.File.EqualityIds ?? [])))
            sql.Append(EqualityFilter(table, schema, group.ToList()));
        return sql.ToString();
    }

    private static string PositionFilter(Table table, List<FileScanTask> files, List<ManifestEntry> positions)
    {
        // Delete files name data files as they were written; the scan sees them where they lie now.
        var names = string.Join(", ", files.Select(f => $"({Sql.Text(table.Storage.Resolve(f.File.Path))}, {Sql.Text(f.File.Path)})"));
        var pairs = string.Create(CultureInfo.InvariantCulture,
            $"MAP {{{DeleteFilePathId}: {{name: 'file_path', type: 'VARCHAR', default_value: NULL}}, {DeletePositionId}: {{name: 'pos', type: 'BIGINT', default_value: NULL}}}}");
        return $" AND NOT EXISTS (SELECT 1 FROM read_parquet({Sql.TextList(positions.Select(p => table.Storage.Resolve(p.File.Path)))}, schema={pairs}) p"
            + $" JOIN (VALUES {names}) n(here, written) ON n.written = p.file_path WHERE n.here = d.filename AND p.pos = d.file_row_number)";
    }

    private static string EqualityFilter(Table table, IcebergSchema schema, List<ManifestEntry> deletes)
    {
        var fields = EqualityFields(table, schema, deletes).Select(f => f with { Name = Hidden(f.Id), InitialDefault = null }).ToList();
        return $" AND NOT EXISTS (SELECT 1 FROM {Read(table, deletes.Select(d => d.File.Path), fields, false)} e WHERE "
            + string.Join(" AND ", fields.Select(f => $"e.{Sql.Name(f.Name)} IS NOT DISTINCT FROM d.{Sql.Name(f.Name)}")) + ")";
    }

    private static IEnumerable<NestedField> EqualityFields(Table table, IcebergSchema schema, List<ManifestEntry> deletes) =>
        deletes.SelectMany(d => d.File.EqualityIds ?? throw new IcebergException($"the delete file {d.File.Path} has no equality ids")).Distinct()
            .Select(id => schema.Find(id) ?? table.Metadata.Schemas.Select(s => s.Find(id)).FirstOrDefault(f => f is not null)
                ?? throw new IcebergException($"a delete file compares the column {id}, which no schema of {table.Ident} has"));

    private static string Hidden(int id) => "c" + id.ToString(CultureInfo.InvariantCulture);

    private static string Read(Table table, IEnumerable<string> paths, IReadOnlyList<NestedField> fields, bool withPositions)
    {
        var sql = new StringBuilder("read_parquet(").Append(Sql.TextList(paths.Select(table.Storage.Resolve))).Append(", schema=MAP {");
        for (var i = 0; i < fields.Count; i++)
        {
            var field = fields[i];
            sql.Append(i == 0 ? "" : ", ").Append(CultureInfo.InvariantCulture,
                $"{field.Id}: {{name: {Sql.Text(field.Name)}, type: {Sql.Text(field.Type.SqlName)}, default_value: {Default(field)}}}");
        }
        return sql.Append('}').Append(withPositions ? ", filename=true, file_row_number=true)" : ")").ToString();
    }

    private static string Default(NestedField field) =>
        field.InitialDefault is { } json && field.Type is PrimitiveType type && SingleValue.FromJson(type, json) is { } value
            ? Sql.Text(DefaultText(type, value))
            : "NULL";

    /// <summary>The map's defaults are one type, so all are text that DuckDB casts to the column's type.</summary>
    private static string DefaultText(PrimitiveType type, object value) => value switch
    {
        bool b => b ? "true" : "false",
        Int128 d => SingleValue.DecimalText(d, type.Scale),
        byte[] bytes => string.Concat(bytes.Select(b => $"\\x{b:X2}")),
        int days when type.Kind == PrimitiveKind.Date => DateOnly.FromDayNumber(days + SingleValue.UnixEpochDay).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        long micros when type.Kind == PrimitiveKind.Time => new TimeOnly(micros * 10).ToString("HH:mm:ss.ffffff", CultureInfo.InvariantCulture),
        long micros when type.Kind is PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz =>
            DateTime.UnixEpoch.AddTicks(micros * 10).ToString("yyyy-MM-dd HH:mm:ss.ffffff", CultureInfo.InvariantCulture) + (type.Kind == PrimitiveKind.TimestampTz ? "+00" : ""),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };
}
