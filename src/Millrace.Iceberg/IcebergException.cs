namespace Millrace.Iceberg;

/// <summary>A table, file or request that breaks Iceberg's rules; the message names the file or part and says what to do.</summary>
public class IcebergException : IOException
{
    public IcebergException(string message)
        : base(message)
    {
    }

    public IcebergException(string message, Exception inner)
        : base(message, inner)
    {
    }
}

/// <summary>Metadata that cannot be understood: which file, which part, why.</summary>
public sealed class InvalidMetadataException(string file, string part, string reason, string hint, Exception? inner = null)
    : IcebergException($"{file}: {part}: {reason}; {hint}", inner!)
{
    public string File { get; } = file;

    /// <summary>A JSON path or a position.</summary>
    public string Part { get; } = part;

    /// <summary>What is wrong there.</summary>
    public string Reason { get; } = reason;
}

/// <summary>Somebody else changed the table first. The commit is not applied; apply it on the new metadata.</summary>
public sealed class CommitConflictException(string message) : IcebergException(message);

/// <summary>It is not known whether the commit was applied: reload the table and look.</summary>
public sealed class CommitStateUnknownException(string message, Exception inner) : IcebergException(message, inner);

public sealed class NoSuchTableException(string message) : IcebergException(message);

/// <summary>A file that metadata needs is gone.</summary>
public sealed class MissingFileException(string message) : IcebergException(message);

public sealed class NoSuchNamespaceException(string message) : IcebergException(message);

/// <summary>A table or namespace of that name is there already.</summary>
public sealed class AlreadyExistsException(string message) : IcebergException(message);

public sealed class NamespaceNotEmptyException(string message) : IcebergException(message);
