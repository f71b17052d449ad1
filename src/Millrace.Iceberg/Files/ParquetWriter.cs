using System.Globalization;
using System.Text;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Files;

/// <summary>Bounds of a <see cref="ParquetWriter"/>.</summary>
public sealed record ParquetWriterOptions
{
    /// <summary>Bytes of input after which a new file is begun, roughly: Iceberg's write.target-file-size-bytes.</summary>
    public long TargetFileBytes { get; init; } = 512L << 20;

    /// <summary>Rows of a row group: what a reader can skip at once.</summary>
    public int RowGroupRows { get; init; } = 122_880;

    /// <summary>Memory of the writer's own DuckDB.</summary>
    public long MemoryLimit { get; init; } = 256L << 20;

    /// <summary>Threads of the writer's own DuckDB; 1 costs least for small commits.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>Parquet codec.</summary>
    public string Compression { get; init; } = "zstd";
}

/// <summary>
/// Writes a table's data files through DuckDB: Parquet with field ids, column metrics from the writer itself. A file is durable, name
/// and all, when it is returned; it becomes part of the table by <see cref="Commits.AppendFiles"/>.
/// </summary>
/// <remarks>Has a small DuckDB of its own. One thread at a time. Works on the real disk only.</remarks>
public sealed class ParquetWriter : IDisposable
{
    private readonly Table _table;
    private readonly ParquetWriterOptions _options;
    private readonly DuckDbDatabase _database;
    private readonly DuckDbConnection _connection;

    public ParquetWriter(Table table, ParquetWriterOptions? options = null)
    {
        _table = table;
        _options = options ?? new ParquetWriterOptions();
        _database = DuckDbDatabase.Open(null, new DuckDbOptions
        {
            MemoryLimit = _options.MemoryLimit,
            Threads = _options.Threads,
            EnableExternalAccess = true,
        });
        _connection = _database.Connect();
    }

    private IcebergSchema Schema => _table.Metadata.Schema;

    /// <summary>Writes batches whose columns have the table's names; columns that they lack become null.</summary>
    /// <returns>The files, none for no rows.</returns>
    /// <exception cref="IcebergException">A column is unknown to the table, a required one is missing or null, or a value does not fit.</exception>
    public IReadOnlyList<DataFile> Write(params IReadOnlyList<ColumnBatch> batches)
    {
        var rows = batches.Sum(b => (long)b.RowCount);
        if (rows == 0)
            return [];
        using var input = _connection.RegisterBatches("millrace_rows", batches[0].Schema, batches);
        return WriteFrom("millrace_rows", batches[0].Schema.Fields.Select(f => f.Name).ToArray(), rows * Math.Max(16, 16 * batches[0].Schema.Count));
    }

    /// <summary>Merges Parquet files (a sink's staged ones) into data files of the target size. The staged files stay.</summary>
    public IReadOnlyList<DataFile> WriteStaged(IReadOnlyList<string> parquetFiles)
    {
        if (parquetFiles.Count == 0)
            return [];
        var source = $"read_parquet({Sql.TextList(parquetFiles)}, union_by_name=true)";
        var bytes = 0L;
        foreach (var path in parquetFiles)
        {
            using var file = _table.Storage.Files.Open(path);
            bytes += file.Length;
        }
        using var described = _connection.Query($"SELECT * FROM {source} LIMIT 0");
        return WriteFrom(source, described.Schema.Fields.Select(f => f.Name).ToArray(), bytes);
    }

    /// <summary>Writes the rows of a query of ours over this table's files: compaction.</summary>
    internal IReadOnlyList<DataFile> WriteQuery(string sql, long bytes)
    {
        using var described = _connection.Query($"SELECT * FROM ({sql}) LIMIT 0");
        return WriteFrom($"({sql})", described.Schema.Fields.Select(f => f.Name).ToArray(), bytes);
    }

    public void Dispose()
    {
        _connection.Dispose();
        _database.Dispose();
    }

    private IReadOnlyList<DataFile> WriteFrom(string source, IReadOnlyList<string> inputColumns, long inputBytes)
    {
        CheckColumns(inputColumns);
        var spec = _table.Metadata.Spec;
        var unique = _table.Storage.Options.NewGuid();
        var folder = _table.DataFolder;
        _table.Storage.MakeFolder(folder);
        var select = new StringBuilder("SELECT ").AppendJoin(", ", Schema.Fields.Select(f => inputColumns.Contains(f.Name)
            ? $"CAST({Sql.Name(f.Name)} AS {f.Type.SqlName}) AS {Sql.Name(f.Name)}"
            : $"NULL::{f.Type.SqlName} AS {Sql.Name(f.Name)}")).Append(" FROM ").Append(source).ToString();
        var partitions = spec.IsUnpartitioned ? null : PartitionColumns.For(Schema, spec);
        try
        {
            if (partitions is not null)
                select = partitions.Select(_connection, select);
            var split = inputBytes > _options.TargetFileBytes;
            var target = partitions is not null ? folder : split ? $"{folder}/{unique:D}" : $"{folder}/00000-{unique:D}.parquet";
            var written = Copy(select, target, partitions, split, unique);
            return Finish(written, spec, partitions);
        }
        catch (DuckDbException error)
        {
            throw new IcebergException($"writing data files of {_table.Ident} failed: {error.Message}", error);
        }
        finally
        {
            partitions?.Dispose();
        }
    }

    private List<WrittenFile> Copy(string select, string target, PartitionColumns? partitions, bool split, Guid unique)
    {
        var sql = new StringBuilder("COPY (").Append(select).Append(") TO ").Append(Sql.Text(target))
            .Append(" (FORMAT parquet, COMPRESSION ").Append(Sql.Text(_options.Compression))
            .Append(CultureInfo.InvariantCulture, $", ROW_GROUP_SIZE {_options.RowGroupRows}, RETURN_STATS, FIELD_IDS {{")
            .AppendJoin(", ", Schema.Fields.Select(f => Sql.Name(f.Name) + ": " + FieldIds(f.Id, f.Type)))
            // Readers that do not look at field ids find the names of the time here, as in files of Iceberg's own writers.
            .Append("}, KV_METADATA {'iceberg.schema': ").Append(Sql.Text(SchemaJson.Text(Schema))).Append('}');
        if (partitions is not null)
        {
            sql.Append(", PARTITION_BY (").AppendJoin(", ", partitions.Names.Select(Sql.Name))
                .Append(CultureInfo.InvariantCulture, $"), WRITE_PARTITION_COLUMNS false, APPEND, FILENAME_PATTERN '{unique:D}-{{uuid}}'");
        }
        if (split)
            sql.Append(CultureInfo.InvariantCulture, $", FILE_SIZE_BYTES {_options.TargetFileBytes}");
        if (split && partitions is null)
            sql.Append(CultureInfo.InvariantCulture, $", FILENAME_PATTERN '{unique:D}-{{uuid}}'");
        using var result = _connection.Query(sql.Append(')').ToString());
        using var batch = result.ReadAll();
        return FileStatistics.Read(batch).ToList();
    }

    private List<DataFile> Finish(List<WrittenFile> written, PartitionSpec spec, PartitionColumns? partitions)
    {
        var files = new List<DataFile>(written.Count);
        var folders = new HashSet<string>(StringComparer.Ordinal);
        foreach (var one in written)
        {
            if (one.Rows == 0)
            {
                _table.Storage.Files.DeleteFile(one.Path);
                continue;
            }
            var metrics = WithNanCounts(one, FileStatistics.Metrics(Schema, one, out var withNan), withNan);
            CheckRequired(one, metrics);
            using (var file = _table.Storage.Files.Open(one.Path))
                file.Flush();
            for (var at = Path.GetDirectoryName(one.Path)!; at.Length >= _table.DataFolder.Length && folders.Add(at); at = Path.GetDirectoryName(at)!)
            {
                // Each new folder's own name is in its parent, so the way up is flushed too.
            }
            files.Add(new DataFile
            {
                Path = one.Path,
                SpecId = spec.SpecId,
                Partition = partitions?.Tuple(one.PartitionKeys) ?? (spec.Fields.Count == 0 ? [] : new object?[spec.Fields.Count]),
                RecordCount = one.Rows,
                FileSizeInBytes = one.Bytes,
                Metrics = metrics,
                SortOrderId = 0,
            });
        }
        foreach (var folder in folders.OrderByDescending(f => f.Length))
            _table.Storage.FlushFolder(folder);
        return files;
    }

    private FileMetrics WithNanCounts(WrittenFile file, FileMetrics metrics, List<NestedField> withNan)
    {
        if (withNan.Count == 0)
            return metrics;
        using var result = _connection.Query(
            $"SELECT {string.Join(", ", withNan.Select(f => $"count(*) FILTER (isnan({Sql.Name(f.Name)}))"))} FROM read_parquet({Sql.Text(file.Path)})");
        using var batch = result.ReadAll();
        var columns = metrics.Columns.ToArray();
        for (var i = 0; i < columns.Length; i++)
        {
            if (withNan.FindIndex(f => f.Id == columns[i].FieldId) is >= 0 and var index)
                columns[i] = columns[i] with { NanCount = batch[index].Values<long>()[0] };
        }
        return new FileMetrics(columns);
    }

    private void CheckColumns(IReadOnlyList<string> inputColumns)
    {
        foreach (var name in inputColumns)
        {
            if (!Schema.Fields.Any(f => f.Name == name))
                throw new IcebergException($"{_table.Ident} has no column '{name}'; it has {string.Join(", ", Schema.Fields.Select(f => f.Name))}");
        }
        foreach (var field in Schema.Fields)
        {
            if (field.Required && !inputColumns.Contains(field.Name))
                throw new IcebergException($"the required column '{field.Name}' of {_table.Ident} is missing");
        }
    }

    private void CheckRequired(WrittenFile file, FileMetrics metrics)
    {
        foreach (var field in Schema.Fields)
        {
            if (!field.Required || metrics.Find(field.Id) is not { NullCount: > 0 } nulls)
                continue;
            _table.Storage.Files.DeleteFile(file.Path);
            throw new IcebergException($"the required column '{field.Name}' of {_table.Ident} is null in {nulls.NullCount} of {file.Rows} rows");
        }
    }

    private static string FieldIds(int id, IcebergType type)
    {
        var own = id.ToString(CultureInfo.InvariantCulture);
        return type switch
        {
            StructType s => $"{{__duckdb_field_id: {own}, {string.Join(", ", s.Fields.Select(f => Sql.Name(f.Name) + ": " + FieldIds(f.Id, f.Type)))}}}",
            ListType l => $"{{__duckdb_field_id: {own}, element: {FieldIds(l.ElementId, l.Element)}}}",
            MapType m => $"{{__duckdb_field_id: {own}, key: {FieldIds(m.KeyId, m.Key)}, value: {FieldIds(m.ValueId, m.Value)}}}",
            _ => own,
        };
    }
}
