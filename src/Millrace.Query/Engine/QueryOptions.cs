namespace Millrace.Query;

/// <summary>The caps under which statements run. One engine holds them for all its sessions together, unless it says otherwise.</summary>
public sealed record QueryOptions
{
    /// <summary>Bytes that all running statements may hold in memory before they spill.</summary>
    public long MemoryLimit { get; init; } = 1L << 30;

    /// <summary>Threads that statements are run on.</summary>
    public int Threads { get; init; } = 2;

    /// <summary>Where to spill; created when absent.</summary>
    public string TempFolder { get; init; } = Path.Combine(Path.GetTempPath(), "millrace-query");

    /// <summary>Bytes that may be spilled.</summary>
    public long MaxTempBytes { get; init; } = 16L << 30;

    /// <summary>
    /// How long a statement may wait and work, not counting the time that its reader takes; <c>SET statement_timeout</c> changes it for a
    /// session, up to this. <see cref="TimeSpan.Zero"/> is no limit.
    /// </summary>
    public TimeSpan StatementTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Rows that one statement may return.</summary>
    public long MaxResultRows { get; init; } = long.MaxValue;

    /// <summary>Statements at work at the same time; more wait, within their timeout.</summary>
    public int MaxConcurrent { get; init; } = 8;

    /// <summary>Open sessions.</summary>
    public int MaxSessions { get; init; } = 200;

    /// <summary>Characters of one statement's text.</summary>
    public int MaxStatementLength { get; init; } = 1 << 20;

    /// <summary>Prepared statements and cursors that one session may keep, each.</summary>
    public int MaxPrepared { get; init; } = 1000;

    /// <summary>Bytes of an unread result that are kept when its session starts another statement.</summary>
    public long MaxBufferedBytes { get; init; } = 64L << 20;

    /// <summary>Finished statements that the history remembers.</summary>
    public int HistoryLength { get; init; } = 200;

    /// <summary>The database's name, as clients see it.</summary>
    public string Database { get; init; } = "millrace";
}
