using Millrace.Columnar.Avro;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Manifests;

/// <summary>Reads manifests of versions 1 to 3; the writer's field order and extra fields do not matter.</summary>
internal sealed class ManifestReader
{
    private readonly ManifestFile _manifest;
    private readonly PartitionSpec _spec;
    private readonly PrimitiveType?[] _types;
    private readonly AvroFields _entry;
    private readonly AvroFields _file;
    private readonly AvroFields? _partition;
    private readonly AvroFields?[] _maps;
    private readonly MetricsBuilder _metrics = new();
    private readonly bool _hasSequenceNumbers;
    private readonly Dictionary<string, string> _formats = new(StringComparer.Ordinal);
    private long? _nextRowId;

    private ManifestReader(AvroFileReader file, ManifestFile manifest, TableMetadata metadata)
    {
        _manifest = manifest;
        _spec = metadata.SpecById(manifest.SpecId)
            ?? throw new IcebergException($"{file.Name} has the partition spec {manifest.SpecId}, which the table does not know");
        _types = _spec.TypesIn(metadata.Schema);
        _entry = new AvroFields(file.Schema, file.Name);
        var data = Array.IndexOf(_entry.Ids, 2);
        if (data < 0)
            throw new IcebergException($"{file.Name} has no data_file field (id 2)");
        _file = new AvroFields(_entry.TypeOf(data), file.Name);
        _hasSequenceNumbers = _entry.Has(3);
        var partition = Array.IndexOf(_file.Ids, 102);
        _partition = partition < 0 ? null : new AvroFields(_file.TypeOf(partition), file.Name);
        _maps = _file.Ids.Select((id, i) => id is 108 or 109 or 110 or 137 or 125 or 128 ? new AvroFields(_file.TypeOf(i).Element!, file.Name) : null).ToArray();
        _nextRowId = manifest.FirstRowId;
    }

    /// <summary>All entries, deleted ones too, with what they inherit from the manifest list filled in.</summary>
    /// <exception cref="IcebergException">The file is damaged; the message names it.</exception>
    public static List<ManifestEntry> Read(ReadOnlyMemory<byte> content, ManifestFile manifest, TableMetadata metadata)
    {
        try
        {
            var file = new AvroFileReader(content, manifest.Path);
            var reader = new ManifestReader(file, manifest, metadata);
            var entries = new List<ManifestEntry>();
            while (file.NextBlock())
            {
                var block = new AvroReader(file.Block.Span);
                for (var i = 0L; i < file.BlockCount; i++)
                    entries.Add(reader.ReadEntry(ref block));
            }
            return entries;
        }
        catch (AvroException error)
        {
            throw new IcebergException(
                $"the manifest {manifest.Path} is damaged: {error.Message}; read an earlier snapshot that does not need it, or restore the file", error);
        }
    }

    private ManifestEntry ReadEntry(ref AvroReader reader)
    {
        var status = EntryStatus.Existing;
        long? snapshotId = null;
        long? sequence = null;
        long? fileSequence = null;
        DataFile? file = null;
        for (var i = 0; i < _entry.Ids.Length; i++)
        {
            switch (_entry.Ids[i])
            {
                case 0:
                    status = (EntryStatus)reader.ReadInt();
                    break;
                case 1:
                    snapshotId = _entry.OptionalLong(ref reader, i);
                    break;
                case 3:
                    sequence = _entry.OptionalLong(ref reader, i);
                    break;
                case 4:
                    fileSequence = _entry.OptionalLong(ref reader, i);
                    break;
                case 2:
                    if (!_entry.Present(ref reader, i))
                        throw new AvroException("an entry has no data file");
                    file = ReadFile(ref reader);
                    break;
                default:
                    _entry.Skip(ref reader, i);
                    break;
            }
        }
        if (status is < EntryStatus.Existing or > EntryStatus.Deleted)
            throw new AvroException($"an entry's status is {(int)status}");
        if (!_hasSequenceNumbers)
            sequence = fileSequence = 0;
        // Only added entries inherit; others carry their numbers (Iceberg spec, Sequence Number Inheritance).
        sequence ??= status == EntryStatus.Added || _manifest.SequenceNumber == 0
            ? _manifest.SequenceNumber
            : throw new AvroException($"the {status} entry {file!.Path} has no sequence number");
        if (status == EntryStatus.Added)
            fileSequence ??= _manifest.SequenceNumber;
        if (status != EntryStatus.Deleted && file!.Content == FileContent.Data && file.FirstRowId is null && _nextRowId is { } first)
        {
            file = file with { FirstRowId = first };
            _nextRowId = first + file.RecordCount;
        }
        return new ManifestEntry(status, snapshotId ?? _manifest.AddedSnapshotId, sequence.Value, fileSequence, file!);
    }

    private DataFile ReadFile(ref AvroReader reader)
    {
        var file = new DataFile { Path = "", RecordCount = 0, FileSizeInBytes = 0, SpecId = _spec.SpecId };
        var builder = new FileBuilder();
        for (var i = 0; i < _file.Ids.Length; i++)
        {
            var id = _file.Ids[i];
            if (id == 102 && _partition is not null)
                builder.Partition = ReadPartition(ref reader);
            else if (_maps[i] is not null)
                ReadMap(ref reader, i, id);
            else if (!builder.Read(ref reader, _file, i, id, _formats))
                _file.Skip(ref reader, i);
        }
        return builder.Build(file, _metrics.Build());
    }

    private object?[] ReadPartition(ref AvroReader reader)
    {
        var values = _spec.Fields.Count == 0 ? [] : new object?[_spec.Fields.Count];
        for (var i = 0; i < _partition!.Ids.Length; i++)
        {
            var index = IndexOfPartition(_partition.Ids[i]);
            if (index < 0)
                _partition.Skip(ref reader, i);
            else if (_partition.Present(ref reader, i))
                values[index] = AvroFields.Widen(AvroFields.ReadValue(ref reader, _partition.TypeOf(i)), _types[index]);
        }
        return values;
    }

    private int IndexOfPartition(int fieldId)
    {
        for (var i = 0; i < _spec.Fields.Count; i++)
        {
            if (_spec.Fields[i].FieldId == fieldId)
                return i;
        }
        return -1;
    }

    /// <summary>A map with int keys: an array of key-value records.</summary>
    private void ReadMap(ref AvroReader reader, int index, int id)
    {
        if (!_file.Present(ref reader, index))
            return;
        var isBound = id is 125 or 128;
        var pair = _maps[index]!;
        var position = 0;
        while (reader.ReadBlockCount() is not 0 and var count)
        {
            for (var i = 0L; i < count; i++)
            {
                var key = reader.ReadInt();
                ref var metrics = ref _metrics.At(key, position++);
                if (!pair.Present(ref reader, 1))
                    continue;
                if (isBound)
                {
                    var bound = reader.ReadBytes().ToArray();
                    metrics = id == 125 ? metrics with { Lower = bound } : metrics with { Upper = bound };
                    continue;
                }
                var value = reader.ReadLong();
                metrics = id switch
                {
                    108 => metrics with { SizeInBytes = value },
                    109 => metrics with { ValueCount = value },
                    110 => metrics with { NullCount = value },
                    _ => metrics with { NanCount = value },
                };
            }
        }
    }

    /// <summary>Collects a file's fields while they are read.</summary>
    private struct FileBuilder
    {
        public object?[]? Partition;
        private FileContent _content;
        private string? _path;
        private string? _format;
        private long _records;
        private long _size;
        private byte[]? _key;
        private long[]? _splits;
        private int[]? _equality;
        private int? _sortOrder;
        private long? _firstRow;
        private string? _referenced;
        private long? _offset;
        private long? _contentSize;

        public bool Read(ref AvroReader reader, AvroFields fields, int index, int id, Dictionary<string, string> formats)
        {
            switch (id)
            {
                case 134:
                    _content = (FileContent)(fields.OptionalInt(ref reader, index) ?? 0);
                    return true;
                case 100:
                    _path = reader.ReadString();
                    return true;
                case 101:
                    var written = reader.ReadString();
                    if (!formats.TryGetValue(written, out _format))
                        formats[written] = _format = written.ToLowerInvariant();
                    return true;
                case 103:
                    _records = reader.ReadLong();
                    return true;
                case 104:
                    _size = reader.ReadLong();
                    return true;
                case 131:
                    _key = fields.OptionalBytes(ref reader, index);
                    return true;
                case 132:
                    _splits = fields.Present(ref reader, index) ? ReadLongs(ref reader) : null;
                    return true;
                case 135:
                    _equality = fields.Present(ref reader, index) ? Array.ConvertAll(ReadLongs(ref reader), v => checked((int)v)) : null;
                    return true;
                case 140:
                    _sortOrder = fields.OptionalInt(ref reader, index);
                    return true;
                case 142:
                    _firstRow = fields.OptionalLong(ref reader, index);
                    return true;
                case 143:
                    _referenced = fields.Present(ref reader, index) ? reader.ReadString() : null;
                    return true;
                case 144:
                    _offset = fields.OptionalLong(ref reader, index);
                    return true;
                case 145:
                    _contentSize = fields.OptionalLong(ref reader, index);
                    return true;
                default:
                    return false;
            }
        }

        public readonly DataFile Build(DataFile file, FileMetrics metrics) => file with
        {
            Content = _content is >= FileContent.Data and <= FileContent.EqualityDeletes ? _content
                : throw new AvroException($"a file's content is {(int)_content}"),
            Path = _path ?? throw new AvroException("a data file has no path"),
            Format = _format ?? "parquet",
            Partition = Partition ?? [],
            RecordCount = _records,
            FileSizeInBytes = _size,
            Metrics = metrics,
            KeyMetadata = _key,
            SplitOffsets = _splits,
            EqualityIds = _equality,
            SortOrderId = _sortOrder,
            FirstRowId = _firstRow,
            ReferencedDataFile = _referenced,
            ContentOffset = _offset,
            ContentSizeInBytes = _contentSize,
        };

        private static long[] ReadLongs(ref AvroReader reader)
        {
            var values = new List<long>();
            while (reader.ReadBlockCount() is not 0 and var count)
            {
                for (var i = 0L; i < count; i++)
                    values.Add(reader.ReadLong());
            }
            return values.ToArray();
        }
    }

    /// <summary>Gathers the maps of one file; their keys nearly always come in one order, so the next is where it was.</summary>
    private sealed class MetricsBuilder
    {
        private ColumnMetrics[] _columns = new ColumnMetrics[16];
        private int _count;

        public ref ColumnMetrics At(int fieldId, int hint)
        {
            if (hint < _count && _columns[hint].FieldId == fieldId)
                return ref _columns[hint];
            for (var i = 0; i < _count; i++)
            {
                if (_columns[i].FieldId == fieldId)
                    return ref _columns[i];
            }
            if (_count == _columns.Length)
                Array.Resize(ref _columns, _count * 2);
            // Not new(fieldId): a struct's default arguments are those of the constructor, which must be named to be taken.
            _columns[_count] = new ColumnMetrics(fieldId, -1);
            return ref _columns[_count++];
        }

        public FileMetrics Build()
        {
            if (_count == 0)
                return FileMetrics.None;
            var metrics = new FileMetrics(_columns.AsSpan(0, _count).ToArray());
            _count = 0;
            return metrics;
        }
    }
}
