namespace Millrace.Streams.Checks.Unique;

/// <summary>Bounds of unique rules.</summary>
public sealed record UniqueOptions
{
    /// <summary>
    /// Bytes of keys that one rule holds in memory (some 60 a key); beyond three quarters of it the oldest keys move to the state store, where
    /// a look-up costs microseconds.
    /// </summary>
    public long MaxMemoryBytes { get; init; } = 512L << 20;

    /// <summary>Keys moved to the state store in one checkpoint at least; more when more came in.</summary>
    public int SpillKeys { get; init; } = 65_536;
}
