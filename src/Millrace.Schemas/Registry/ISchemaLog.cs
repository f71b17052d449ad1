namespace Millrace.Schemas;

/// <summary>A record of the registry's topic; a null value deletes the key.</summary>
public readonly record struct SchemaRecord(byte[] Key, byte[]? Value);

/// <summary>The compacted topic that the registry's state is kept in.</summary>
public interface ISchemaLog
{
    /// <summary>Gives every record from the first to the last.</summary>
    void ReadAll(Action<SchemaRecord> seen);

    /// <summary>Appends records, whole or not at all; the task ends when they are durable.</summary>
    /// <exception cref="IOException">They are not: nothing is known of them until the log is read again.</exception>
    Task AppendAsync(IReadOnlyList<SchemaRecord> records);
}

/// <summary>Bounds of a registry.</summary>
public sealed record SchemaRegistryOptions
{
    /// <summary>Characters of one schema.</summary>
    public int MaxSchemaChars { get; init; } = 1 << 20;

    /// <summary>References of one schema, and how deep they may go.</summary>
    public int MaxReferences { get; init; } = 128;

    /// <summary>Characters of a subject's name.</summary>
    public int MaxSubjectChars { get; init; } = 1024;

    /// <summary>Schemas with an id of their own.</summary>
    public int MaxSchemas { get; init; } = 200_000;

    /// <summary>Characters of all schemas together: they are held in memory.</summary>
    public long MaxTotalChars { get; init; } = 256L << 20;

    /// <summary>What holds until <c>PUT /config</c> says otherwise.</summary>
    public CompatibilityLevel Compatibility { get; init; } = CompatibilityLevel.Backward;
}
