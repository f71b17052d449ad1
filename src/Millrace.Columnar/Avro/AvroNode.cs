namespace Millrace.Columnar.Avro;

/// <summary>
/// How a value that one schema wrote is read as another: the writer's schema decides what bytes there are, the reader's what they mean
/// (Avro 1.12, Schema Resolution). A recursive schema gives a cyclic graph.
/// </summary>
internal sealed class AvroNode(AvroSchema writer, AvroSchema reader)
{
    /// <summary>What is in the bytes.</summary>
    public AvroSchema Writer { get; } = writer;

    /// <summary>What it is read as; never a union.</summary>
    public AvroSchema Reader { get; } = reader;

    /// <summary>Why this value cannot be read; it matters only when one is met.</summary>
    public string? Fault { get; init; }

    /// <summary>By branch, when the writer's schema is a union; else empty.</summary>
    public AvroNode[] Branches { get; set; } = [];

    /// <summary>Of an array's items or a map's values.</summary>
    public AvroNode? Element { get; set; }

    /// <summary>By the writer's symbol: the reader's, in UTF-8; null where it has none.</summary>
    public byte[]?[] Symbols { get; set; } = [];

    /// <summary>In the order of the writer's fields.</summary>
    public AvroStep[] Steps { get; set; } = [];

    /// <summary>The reader's fields that the writer does not have, with their defaults.</summary>
    public AvroDefault[] Defaults { get; set; } = [];
}

/// <summary>A field of the writer's record: how it is read, or null when the reader does not want it.</summary>
internal readonly record struct AvroStep(AvroSchema Writer, AvroField? Reader, AvroNode? Node);

/// <summary>A default in Avro's encoding, and how that is read.</summary>
internal readonly record struct AvroDefault(AvroField Reader, byte[] Bytes, AvroNode Node);
