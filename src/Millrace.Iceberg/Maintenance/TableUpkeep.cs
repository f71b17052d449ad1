using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Maintenance;

/// <summary>What keeps a table in shape while a sink writes to it every few seconds.</summary>
public sealed record UpkeepOptions
{
    /// <summary>Time between two looks at a table that was written to.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Younger snapshots stay; <see cref="TimeSpan.MaxValue"/> keeps all. Null takes the table's property, then <see cref="DefaultKeep"/>.</summary>
    public TimeSpan? Keep { get; init; }

    /// <summary>So many of the newest snapshots stay. Null takes the table's property, then <see cref="DefaultKeepLast"/>.</summary>
    public int? KeepLast { get; init; }

    /// <summary>Iceberg's own default, five days, would be 43,200 snapshots at one commit in ten seconds, all in each metadata file.</summary>
    public TimeSpan DefaultKeep { get; init; } = TimeSpan.FromHours(1);

    public int DefaultKeepLast { get; init; } = 20;

    /// <summary>So many snapshots stay at most, however young they are: they are written again with each commit.</summary>
    public int MaxSnapshots { get; init; } = 1000;

    /// <summary>Expiry waits until so many snapshots are due: it reads all manifest lists.</summary>
    public int MinExpired { get; init; } = 10;

    /// <summary>Small files become files of this size; 0 leaves them alone.</summary>
    public long CompactTo { get; init; } = 128L << 20;

    /// <summary>So many files of about one size are rewritten as one.</summary>
    public int MinFiles { get; init; } = 8;

    /// <summary>Files within this factor are of about one size: a row is rewritten once for each step, not at each run.</summary>
    public double SizeStep { get; init; } = 8;

    /// <summary>Bytes that one run rewrites at most.</summary>
    public long MaxRewriteBytes { get; init; } = 256L << 20;
}

/// <summary>What a run of upkeep did.</summary>
public sealed record UpkeepResult(CompactionResult? Compacted, ExpiryResult? Expired)
{
    public bool DidNothing => Compacted?.Snapshot is null && Expired is null;
}

/// <summary>Compaction, then expiry, as far as either is due. Safe beside commits of others and beside another upkeep of the table.</summary>
public static class TableUpkeep
{
    /// <exception cref="IcebergException">The table cannot be read or committed to now.</exception>
    public static UpkeepResult Run(Table table, UpkeepOptions options, CancellationToken cancellation = default)
    {
        CompactionResult? compacted = null;
        // Row ids of version 3 would have to be carried over (see Compaction).
        if (options.CompactTo > 0 && table.Metadata.FormatVersion < 3)
        {
            try
            {
                compacted = Compaction.Run(
                    table,
                    new CompactionOptions
                    {
                        TargetFileBytes = options.CompactTo, MinInputFiles = options.MinFiles, SizeStep = options.SizeStep, MaxBytes = options.MaxRewriteBytes,
                    },
                    cancellation);
            }
            catch (RewriteOvertakenException)
            {
                // Another compaction was faster; its files are there.
                table.Refresh();
            }
        }
        cancellation.ThrowIfCancellationRequested();
        if (Expiry(table.Metadata, options, table.Storage.Now) is not { } expiry
            || SnapshotExpiry.Expired(table.Metadata, expiry, table.Storage.Now).Snapshots.Count < options.MinExpired)
            return new UpkeepResult(compacted, null);
        return new UpkeepResult(compacted, SnapshotExpiry.Run(table, expiry));
    }

    /// <summary>Expires what is due by the options now, be it a single snapshot.</summary>
    public static ExpiryResult Expire(Table table, UpkeepOptions options, bool dryRun) =>
        Expiry(table.Metadata, options, table.Storage.Now) is { } expiry
            ? SnapshotExpiry.Run(table, expiry with { DryRun = dryRun })
            : new ExpiryResult([], [], 0, 0, 0, 0);

    /// <summary>Puts all small files together now, in one go.</summary>
    public static CompactionResult Compact(Table table, UpkeepOptions options, bool dryRun, CancellationToken cancellation = default)
    {
        var compaction = new CompactionOptions { TargetFileBytes = options.CompactTo > 0 ? options.CompactTo : new UpkeepOptions().CompactTo, MinInputFiles = 2 };
        return dryRun ? Compaction.Preview(table, compaction) : Compaction.Run(table, compaction, cancellation);
    }

    /// <summary>What to ask of expiry, or null when all snapshots are kept.</summary>
    internal static ExpiryOptions? Expiry(TableMetadata metadata, UpkeepOptions options, DateTimeOffset now)
    {
        var property = metadata.PropertyNumber(SnapshotExpiry.MaxAgeProperty, -1);
        var keep = options.Keep ?? (property >= 0 ? TimeSpan.FromMilliseconds(property) : options.DefaultKeep);
        var last = options.KeepLast ?? (int)metadata.PropertyNumber(SnapshotExpiry.MinKeepProperty, options.DefaultKeepLast);
        if (metadata.Snapshots.Count > options.MaxSnapshots)
        {
            var oldest = metadata.Snapshots.OrderByDescending(s => s.SequenceNumber).ElementAt(options.MaxSnapshots - 1);
            var most = now - oldest.At;
            keep = keep < most ? keep : most;
            last = Math.Min(last, options.MaxSnapshots);
        }
        return keep == TimeSpan.MaxValue ? null : new ExpiryOptions(keep, last);
    }
}
