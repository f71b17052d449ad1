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
    /// <param name="writer">What the data was written with.</param>
    /// <param name="readerName">What to call this one.</param>
    /// <param name="writerName">What to call the other.</param>
    /// <param name="lenient">Take what Confluent's policy LENIENT takes.</param>
    public abstract IReadOnlyList<string> FaultsReading(ParsedSchema writer, string readerName, string writerName, bool lenient = false);

    /// <summary>Its text in the form that equal schemas have, whatever order their parts were written in.</summary>
    public abstract string NormalText { get; }

    /// <summary>Whether a record of it has a field of that name at the top.</summary>
    public abstract bool HasTopLevelField(string name);

    /// <summary>Its text in another form; null when it has none of that name.</summary>
    public virtual string? Format(string name) => null;

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
