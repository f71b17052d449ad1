namespace Millrace.Columnar.Json;

/// <summary>What a <see cref="JsonColumnDecoder"/> takes.</summary>
public sealed record JsonDecoderOptions
{
    /// <summary>Levels of objects and arrays, the record itself being the first.</summary>
    public int MaxDepth { get; init; } = 64;

    /// <summary>Bytes of a record; a longer one is refused unread.</summary>
    public int MaxRecordBytes { get; init; } = 1 << 20;

    /// <summary>Refuse a record with a field that the schema does not have (true), or pass over the field.</summary>
    public bool RefuseUnknownFields { get; init; }

    /// <summary>
    /// The VARCHAR columns in which an object or array is kept as its JSON text; in others it is refused. Null: all VARCHAR columns.
    /// </summary>
    public IReadOnlyCollection<string>? NestedTextColumns { get; init; }
}
