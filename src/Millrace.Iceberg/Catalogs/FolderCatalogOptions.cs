namespace Millrace.Iceberg.Catalogs;

/// <summary>Bounds and sources of a <see cref="FolderCatalog"/>.</summary>
public sealed record FolderCatalogOptions
{
    /// <summary>How long a commit waits for another process that holds the table's lock.</summary>
    public TimeSpan LockTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Pause between two tries for the lock of another process.</summary>
    public TimeSpan LockPoll { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>The most bytes of a metadata, manifest or manifest list file that are read.</summary>
    public int MaxMetadataBytes { get; init; } = 1 << 30;

    /// <summary>When a file was last written, by its path: how old an orphan is.</summary>
    public Func<string, DateTimeOffset> LastWritten { get; init; } = path => new DateTimeOffset(File.GetLastWriteTimeUtc(path), TimeSpan.Zero);

    /// <summary>Where table UUIDs, snapshot ids and file names come from; tests give a seeded one.</summary>
    public Func<Guid> NewGuid { get; init; } = Guid.NewGuid;
}
