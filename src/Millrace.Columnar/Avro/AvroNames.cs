namespace Millrace.Columnar.Avro;

/// <summary>Who is who between a reader's and a writer's schema (Avro 1.12, Schema Resolution and Aliases).</summary>
public static class AvroNames
{
    /// <summary>
    /// Whether a reader's named type takes a writer's: the same name without namespace, or an alias of the reader that is the writer's
    /// full name.
    /// </summary>
    public static bool Match(AvroSchema reader, AvroSchema writer) =>
        Short(reader.FullName).SequenceEqual(Short(writer.FullName)) || reader.Aliases.Contains(writer.FullName);

    /// <summary>The writer's field that a reader's field takes: by name, else by the first alias that there is; or null.</summary>
    public static AvroField? FieldFor(AvroField field, AvroSchema writer)
    {
        if (writer.Field(field.Name) is { } same)
            return same;
        foreach (var alias in field.Aliases)
        {
            if (writer.Field(alias) is { } other)
                return other;
        }
        return null;
    }

    /// <summary>The promotions that the specification lists, beside reading a kind as itself.</summary>
    public static bool Promotes(AvroKind writer, AvroKind reader) => reader switch
    {
        AvroKind.Long => writer is AvroKind.Int,
        AvroKind.Float => writer is AvroKind.Int or AvroKind.Long,
        AvroKind.Double => writer is AvroKind.Int or AvroKind.Long or AvroKind.Float,
        AvroKind.Bytes => writer is AvroKind.String,
        AvroKind.String => writer is AvroKind.Bytes,
        _ => false,
    };

    private static ReadOnlySpan<char> Short(string name) => name.AsSpan(name.LastIndexOf('.') + 1);
}
