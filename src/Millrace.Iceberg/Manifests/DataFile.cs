namespace Millrace.Iceberg.Manifests;

public enum FileContent
{
    Data = 0,

    /// <summary>Positions of deleted rows, or a deletion vector when the format is puffin.</summary>
    PositionDeletes = 1,

    /// <summary>Rows equal to these in some columns are deleted.</summary>
    EqualityDeletes = 2,
}

/// <summary>A data or delete file as manifests describe it (Iceberg spec, Data File Fields). Immutable.</summary>
public sealed record DataFile
{
    public FileContent Content { get; init; }

    /// <summary>As written in the manifest.</summary>
    public required string Path { get; init; }

    /// <summary>Lower case: parquet, orc, avro or puffin.</summary>
    public string Format { get; init; } = "parquet";

    public int SpecId { get; init; }

    /// <summary>One value a field of the spec, as <see cref="Values.SingleValue"/> holds them; null is a partition of its own.</summary>
    public IReadOnlyList<object?> Partition { get; init; } = [];

    public required long RecordCount { get; init; }

    public required long FileSizeInBytes { get; init; }

    public FileMetrics Metrics { get; init; } = FileMetrics.None;

    public byte[]? KeyMetadata { get; init; }

    public IReadOnlyList<long>? SplitOffsets { get; init; }

    public IReadOnlyList<int>? EqualityIds { get; init; }

    public int? SortOrderId { get; init; }

    /// <summary>v3: the row id of the file's first row.</summary>
    public long? FirstRowId { get; init; }

    public string? ReferencedDataFile { get; init; }

    /// <summary>A deletion vector's place in its Puffin file.</summary>
    public long? ContentOffset { get; init; }

    public long? ContentSizeInBytes { get; init; }

    public bool IsDeletionVector => Content == FileContent.PositionDeletes && Format == "puffin";
}

/// <summary>What is known of one column of a file; -1 and null where nothing is.</summary>
/// <param name="ValueCount">Values, nulls and NaN included.</param>
/// <param name="Lower">The binary single value, possibly shortened: at most the least value.</param>
/// <param name="Upper">The binary single value, possibly shortened and raised: at least the greatest value.</param>
public readonly record struct ColumnMetrics(
    int FieldId, long SizeInBytes = -1, long ValueCount = -1, long NullCount = -1, long NanCount = -1, byte[]? Lower = null, byte[]? Upper = null);

/// <summary>A file's column metrics by field id: one array, not six maps. Immutable.</summary>
public sealed class FileMetrics
{
    public static readonly FileMetrics None = new([]);

    private readonly ColumnMetrics[] _columns;

    /// <param name="columns">Taken over; sorted here.</param>
    public FileMetrics(ColumnMetrics[] columns)
    {
        for (var i = 1; i < columns.Length; i++)
        {
            if (columns[i - 1].FieldId >= columns[i].FieldId)
            {
                Array.Sort(columns, (a, b) => a.FieldId.CompareTo(b.FieldId));
                break;
            }
        }
        _columns = columns;
    }

    /// <summary>In order of field ids.</summary>
    public ReadOnlySpan<ColumnMetrics> Columns => _columns;

    /// <summary>The metrics of a field, or null.</summary>
    public ColumnMetrics? Find(int fieldId)
    {
        var low = 0;
        var high = _columns.Length - 1;
        while (low <= high)
        {
            var middle = (low + high) >> 1;
            var id = _columns[middle].FieldId;
            if (id == fieldId)
                return _columns[middle];
            if (id < fieldId)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return null;
    }
}

public enum EntryStatus
{
    Existing = 0,
    Added = 1,
    Deleted = 2,
}

/// <summary>A file in a manifest, with inherited values filled in.</summary>
/// <param name="SnapshotId">The snapshot that added or deleted it.</param>
/// <param name="SequenceNumber">The data sequence number: what deletes compare with.</param>
/// <param name="FileSequenceNumber">The sequence number of the snapshot that added the file; null when an old writer did not say.</param>
public sealed record ManifestEntry(EntryStatus Status, long SnapshotId, long SequenceNumber, long? FileSequenceNumber, DataFile File)
{
    public bool IsLive => Status != EntryStatus.Deleted;
}

public enum ManifestContent
{
    Data = 0,
    Deletes = 1,
}

/// <summary>A manifest as the manifest list describes it (Iceberg spec, Manifest Lists).</summary>
public sealed record ManifestFile
{
    /// <summary>The sequence number of a manifest that no snapshot has taken in yet.</summary>
    public const long Unassigned = -1;

    public required string Path { get; init; }

    public required long Length { get; init; }

    public required int SpecId { get; init; }

    public ManifestContent Content { get; init; }

    public long SequenceNumber { get; init; }

    /// <summary>The least data sequence number of the live files: too high a value would hide deletes.</summary>
    public long MinSequenceNumber { get; init; }

    public long AddedSnapshotId { get; init; }

    /// <summary>-1 where a version 1 writer did not count; then the manifest must be read.</summary>
    public int AddedFiles { get; init; } = -1;

    public int ExistingFiles { get; init; } = -1;

    public int DeletedFiles { get; init; } = -1;

    public long AddedRows { get; init; } = -1;

    public long ExistingRows { get; init; } = -1;

    public long DeletedRows { get; init; } = -1;

    public IReadOnlyList<FieldSummary>? Partitions { get; init; }

    public byte[]? KeyMetadata { get; init; }

    public long? FirstRowId { get; init; }

    /// <summary>False only when the counts say that no file is live.</summary>
    public bool MayHaveLiveFiles => AddedFiles != 0 || ExistingFiles != 0;
}

/// <summary>The range of one partition field over a manifest's files.</summary>
public readonly record struct FieldSummary(bool ContainsNull, bool? ContainsNan, byte[]? Lower, byte[]? Upper);
