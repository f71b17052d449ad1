namespace Millrace.DuckDb;

/// <summary>How a database is opened. What is not said here is DuckDB's default; extensions never install or load by themselves.</summary>
public sealed record DuckDbOptions
{
    /// <summary>Bytes that DuckDB may hold in memory before it spills (<c>memory_limit</c>).</summary>
    public long MemoryLimit { get; init; } = 1L << 30;

    /// <summary>Worker threads; 1 runs everything on the calling thread, which is quickest for small batches (<c>threads</c>).</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Where to spill; null spills nowhere.</summary>
    public string? TempDirectory { get; init; }

    /// <summary>Bytes that may be spilled (<c>max_temp_directory_size</c>).</summary>
    public long MaxTempDirectorySize { get; init; } = 16L << 30;

    /// <summary>Whether SQL may touch files and the network (<c>enable_external_access</c>).</summary>
    public bool EnableExternalAccess { get; init; }

    /// <summary>Folders that SQL may touch although external access is off.</summary>
    public IReadOnlyList<string> AllowedDirectories { get; init; } = [];

    /// <summary>Forbids SQL to change settings from here on (<c>lock_configuration</c>).</summary>
    public bool LockConfiguration { get; init; }

    public bool ReadOnly { get; init; }

    /// <summary>More settings by DuckDB's names, set before the database opens.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();
}
