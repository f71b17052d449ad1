namespace Millrace.Schemas.Formats;

/// <summary>A schema that another uses, by the name it uses.</summary>
internal sealed record ReferencedSchema(string Name, string Text);

/// <summary>The text is no schema of its kind; the message says where.</summary>
internal sealed class SchemaFormatException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A schema that has been understood.</summary>
internal abstract class ParsedSchema
{
    /// <summary>Its text in one form, so that the same schema written in two ways is one.</summary>
    public required SchemaContent Content { get; init; }

    /// <summary>Why data written with <paramref name="writer"/> cannot be read with this schema; empty when it can.</summary>
    public abstract IReadOnlyList<string> FaultsReading(ParsedSchema writer, string readerName, string writerName);

    /// <param name="content">What was given.</param>
    /// <param name="referenced">What it uses, each after those that it uses itself.</param>
    /// <exception cref="SchemaFormatException">It is no schema.</exception>
    public static ParsedSchema Parse(SchemaContent content, IReadOnlyList<ReferencedSchema> referenced) => content.Type switch
    {
        SchemaType.Avro => AvroFormat.Parse(content, referenced),
        SchemaType.Json => JsonFormat.Parse(content, referenced),
        _ => ProtobufFormat.Parse(content, referenced),
    };
}
