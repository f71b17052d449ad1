using System.Text;
using Millrace.Columnar.Avro;

namespace Millrace.Schemas.Formats;

/// <summary>Avro: the specification's resolution rules decide who reads whom.</summary>
internal sealed class AvroFormat : ParsedSchema
{
    public required AvroSchema Schema { get; init; }

    private IReadOnlyList<ReferencedSchema> Referenced { get; init; } = [];

    public static new AvroFormat Parse(SchemaContent content, IReadOnlyList<ReferencedSchema> referenced)
    {
        try
        {
            // A name alone is a schema that Java's parser takes without quotes; clients send "string" and string alike.
            var text = content.Text.Trim();
            if (text.Length > 0 && text.All(char.IsAsciiLetter))
                text = $"\"{text}\"";
            var schema = AvroSchema.ParseStrict(text, [.. referenced.Select(r => r.Text)]);
            return new AvroFormat { Schema = schema, Content = content with { Text = AvroText.Write(text) }, Referenced = referenced };
        }
        catch (Exception error) when (error is AvroException or EncoderFallbackException)
        {
            throw new SchemaFormatException(error.Message, error);
        }
    }

    public override string NormalText => AvroText.Write(Content.Text, sorted: true);

    public override bool HasTopLevelField(string name) => Schema.Field(name) is not null;

    /// <summary><c>resolved</c>: with the definitions of what it refers to, each where it is first used.</summary>
    public override string? Format(string name) => name == "resolved" ? AvroText.Resolve(Content.Text, [.. Referenced.Select(static r => r.Text)]) : null;

    public override IReadOnlyList<string> FaultsReading(ParsedSchema writer, string readerName, string writerName, bool lenient = false) =>
        [.. new AvroCompatibility().Check(Schema, ((AvroFormat)writer).Schema).Select(f => f.Render(readerName, writerName))];
}
