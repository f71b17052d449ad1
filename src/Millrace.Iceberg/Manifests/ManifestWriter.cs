using System.Globalization;
using System.Text;
using System.Text.Json;
using Millrace.Columnar.Avro;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Manifests;

/// <summary>Writes one manifest, version 2 or 3: files of one spec, either data or deletes.</summary>
internal sealed class ManifestWriter
{
    private readonly PartitionSpec _spec;
    private readonly PrimitiveType[] _types;
    private readonly ManifestContent _content;
    private readonly int _formatVersion;
    private readonly long _snapshotId;
    private readonly AvroFileWriter _file;
    private readonly PartitionRange[] _ranges;
    private int _added;
    private int _existing;
    private int _deleted;
    private long _addedRows;
    private long _existingRows;
    private long _deletedRows;
    private long _minSequence = long.MaxValue;

    /// <param name="snapshotId">The snapshot that writes it.</param>
    /// <exception cref="IcebergException">A partition field's source column is no longer in the schema.</exception>
    public ManifestWriter(TableMetadata metadata, PartitionSpec spec, ManifestContent content, long snapshotId, Guid sync)
    {
        _spec = spec;
        _content = content;
        _snapshotId = snapshotId;
        _formatVersion = metadata.FormatVersion;
        _types = TypesOf(metadata, spec);
        _ranges = _types.Select(t => new PartitionRange(t)).ToArray();
        var keys = new Dictionary<string, string>
        {
            ["schema"] = SchemaJson.Text(metadata.Schema),
            ["schema-id"] = metadata.CurrentSchemaId.ToString(CultureInfo.InvariantCulture),
            ["partition-spec"] = SpecText(spec),
            ["partition-spec-id"] = spec.SpecId.ToString(CultureInfo.InvariantCulture),
            ["format-version"] = _formatVersion.ToString(CultureInfo.InvariantCulture),
            ["content"] = content == ManifestContent.Data ? "data" : "deletes",
        };
        _file = new AvroFileWriter(ManifestSchemas.EntrySchema(_formatVersion, spec, _types), keys, sync.ToByteArray());
    }

    /// <summary>False when a manifest of that spec can no longer be written because a source column is gone.</summary>
    public static bool CanWrite(TableMetadata metadata, PartitionSpec spec) =>
        spec.Fields.All(f => metadata.Schemas.Any(s => s.Find(f.SourceId)?.Type is PrimitiveType));

    /// <summary>Bytes so far.</summary>
    public long Length => _file.Length;

    /// <summary>A file that this snapshot adds; its sequence numbers are inherited.</summary>
    public void Add(DataFile file)
    {
        Write(EntryStatus.Added, _snapshotId, null, null, file);
        _added++;
        _addedRows += file.RecordCount;
    }

    /// <summary>A file that this snapshot adds with an older data sequence number: compaction's output.</summary>
    public void Add(DataFile file, long sequenceNumber)
    {
        Write(EntryStatus.Added, _snapshotId, sequenceNumber, null, file);
        _added++;
        _addedRows += file.RecordCount;
        _minSequence = Math.Min(_minSequence, sequenceNumber);
    }

    /// <summary>A file that stays.</summary>
    public void Keep(ManifestEntry entry)
    {
        Write(EntryStatus.Existing, entry.SnapshotId, entry.SequenceNumber, entry.FileSequenceNumber, entry.File);
        _existing++;
        _existingRows += entry.File.RecordCount;
        _minSequence = Math.Min(_minSequence, entry.SequenceNumber);
    }

    /// <summary>A file that this snapshot takes out.</summary>
    public void Delete(ManifestEntry entry)
    {
        Write(EntryStatus.Deleted, _snapshotId, entry.SequenceNumber, entry.FileSequenceNumber, entry.File);
        _deleted++;
        _deletedRows += entry.File.RecordCount;
    }

    /// <summary>The file's bytes and its line for the manifest list; the sequence number is assigned there.</summary>
    public (byte[] Content, ManifestFile Manifest) Finish(string path)
    {
        var content = _file.Finish();
        return (content, new ManifestFile
        {
            Path = path,
            Length = content.Length,
            SpecId = _spec.SpecId,
            Content = _content,
            SequenceNumber = ManifestFile.Unassigned,
            MinSequenceNumber = _minSequence == long.MaxValue ? ManifestFile.Unassigned : _minSequence,
            AddedSnapshotId = _snapshotId,
            AddedFiles = _added,
            ExistingFiles = _existing,
            DeletedFiles = _deleted,
            AddedRows = _addedRows,
            ExistingRows = _existingRows,
            DeletedRows = _deletedRows,
            Partitions = _ranges.Select(r => r.Summary()).ToArray(),
        });
    }

    private void Write(EntryStatus status, long snapshotId, long? sequence, long? fileSequence, DataFile file)
    {
        if (file.Partition.Count != _types.Length)
            throw new IcebergException($"{file.Path} has {file.Partition.Count} partition values, spec {_spec.SpecId} has {_types.Length} fields");
        var writer = _file.Records;
        writer.WriteInt((int)status);
        writer.WriteOptional(true);
        writer.WriteLong(snapshotId);
        WriteLong(writer, sequence);
        WriteLong(writer, fileSequence);
        writer.WriteInt((int)file.Content);
        writer.WriteString(file.Path);
        writer.WriteString(file.Format.ToUpperInvariant());
        for (var i = 0; i < _types.Length; i++)
        {
            var value = file.Partition[i];
            writer.WriteOptional(value is not null);
            if (value is not null)
                AvroFields.WriteValue(writer, _types[i], value);
            if (status != EntryStatus.Deleted)
                _ranges[i].Take(value);
        }
        writer.WriteLong(file.RecordCount);
        writer.WriteLong(file.FileSizeInBytes);
        WriteMetrics(writer, file.Metrics);
        WriteBytes(writer, file.KeyMetadata);
        WriteLongs(writer, file.SplitOffsets);
        WriteLongs(writer, file.EqualityIds?.Select(i => (long)i).ToArray());
        WriteLong(writer, file.SortOrderId);
        if (_formatVersion >= 3)
            WriteLong(writer, file.FirstRowId);
        writer.WriteOptional(file.ReferencedDataFile is not null);
        if (file.ReferencedDataFile is not null)
            writer.WriteString(file.ReferencedDataFile);
        if (_formatVersion >= 3)
        {
            WriteLong(writer, file.ContentOffset);
            WriteLong(writer, file.ContentSizeInBytes);
        }
        _file.EndRecord();
    }

    private static void WriteMetrics(AvroWriter writer, FileMetrics metrics)
    {
        WriteCounts(writer, metrics, m => m.SizeInBytes);
        WriteCounts(writer, metrics, m => m.ValueCount);
        WriteCounts(writer, metrics, m => m.NullCount);
        WriteCounts(writer, metrics, m => m.NanCount);
        WriteBounds(writer, metrics, m => m.Lower);
        WriteBounds(writer, metrics, m => m.Upper);
    }

    private static void WriteCounts(AvroWriter writer, FileMetrics metrics, Func<ColumnMetrics, long> of)
    {
        var count = 0;
        foreach (var column in metrics.Columns)
            count += of(column) >= 0 ? 1 : 0;
        writer.WriteOptional(count > 0);
        if (count == 0)
            return;
        writer.WriteLong(count);
        foreach (var column in metrics.Columns)
        {
            if (of(column) is >= 0 and var value)
            {
                writer.WriteInt(column.FieldId);
                writer.WriteLong(value);
            }
        }
        writer.WriteLong(0);
    }

    private static void WriteBounds(AvroWriter writer, FileMetrics metrics, Func<ColumnMetrics, byte[]?> of)
    {
        var count = 0;
        foreach (var column in metrics.Columns)
            count += of(column) is null ? 0 : 1;
        writer.WriteOptional(count > 0);
        if (count == 0)
            return;
        writer.WriteLong(count);
        foreach (var column in metrics.Columns)
        {
            if (of(column) is { } bound)
            {
                writer.WriteInt(column.FieldId);
                writer.WriteBytes(bound);
            }
        }
        writer.WriteLong(0);
    }

    private static void WriteLong(AvroWriter writer, long? value)
    {
        writer.WriteOptional(value is not null);
        if (value is { } number)
            writer.WriteLong(number);
    }

    private static void WriteBytes(AvroWriter writer, byte[]? value)
    {
        writer.WriteOptional(value is not null);
        if (value is not null)
            writer.WriteBytes(value);
    }

    private static void WriteLongs(AvroWriter writer, IReadOnlyList<long>? values)
    {
        writer.WriteOptional(values is not null);
        if (values is null)
            return;
        if (values.Count > 0)
        {
            writer.WriteLong(values.Count);
            foreach (var value in values)
                writer.WriteLong(value);
        }
        writer.WriteLong(0);
    }

    private static PrimitiveType[] TypesOf(TableMetadata metadata, PartitionSpec spec) => spec.Fields.Select(field =>
    {
        // A dropped column lives on in earlier schemas; its type there is good enough for a void or an old spec.
        var source = metadata.Schema.Find(field.SourceId) ?? metadata.Schemas.Reverse().Select(s => s.Find(field.SourceId)).FirstOrDefault(f => f is not null);
        return source?.Type is PrimitiveType primitive && field.Transform.ResultOf(primitive) is { } type
            ? type
            : throw new IcebergException($"the partition field '{field.Name}' has lost its source column {field.SourceId}");
    }).ToArray();

    private static string SpecText(PartitionSpec spec)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            TableMetadataWriter.WriteSpecFields(writer, spec);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>The least and greatest value of one partition field.</summary>
    private sealed class PartitionRange(PrimitiveType type)
    {
        private bool _containsNull;
        private bool _containsNan;
        private object? _least;
        private object? _greatest;

        public void Take(object? value)
        {
            switch (value)
            {
                case null:
                    _containsNull = true;
                    return;
                case float.NaN or double.NaN:
                    _containsNan = true;
                    return;
            }
            if (_least is null || SingleValue.Compare(type, value, _least) < 0)
                _least = value;
            if (_greatest is null || SingleValue.Compare(type, value, _greatest) > 0)
                _greatest = value;
        }

        public FieldSummary Summary() => new(
            _containsNull,
            type.Kind is PrimitiveKind.Float or PrimitiveKind.Double ? _containsNan : false,
            _least is null ? null : SingleValue.Encode(type, _least),
            _greatest is null ? null : SingleValue.Encode(type, _greatest));
    }
}
