using System.Buffers;
using System.Globalization;
using System.Text;

namespace Millrace.Columnar.Json;

public enum DecodeErrorKind : byte
{
    None,

    /// <summary>The bytes break JSON's grammar (RFC 8259).</summary>
    NotJson,

    /// <summary>JSON, but not an object.</summary>
    NotAnObject,

    /// <summary>The value is of another JSON type than the column takes.</summary>
    WrongType,

    /// <summary>The text of a time, date, decimal or base64 value is not one.</summary>
    WrongFormat,

    /// <summary>The number does not fit the column's type.</summary>
    OutOfRange,

    /// <summary>A column that may not be null is absent or null.</summary>
    MissingRequired,
    UnknownField,
    DuplicateKey,
    TooLong,
    InvalidUtf8,

    /// <summary>NaN or an infinity, which JSON does not have.</summary>
    NotFinite,
    TooDeep,
}

/// <summary>What stands in a record where an error is.</summary>
public enum JsonToken : byte
{
    None,
    End,
    Object,
    Array,
    Text,
    Number,
    Boolean,
    Null,

    /// <summary>A byte that begins no value.</summary>
    Other,
}

/// <summary>Why a record is refused. Small, and costs nothing until it is rendered.</summary>
/// <param name="Kind">What is wrong.</param>
/// <param name="Column">The column concerned, or -1.</param>
/// <param name="Position">The byte of the record, from 0, where it was found.</param>
/// <param name="Found">What stands there.</param>
public readonly record struct DecodeError(DecodeErrorKind Kind, int Column, int Position, JsonToken Found)
{
    private const int MostShown = 64;

    private static readonly SearchValues<byte> ScalarEnds = SearchValues.Create(" \t\r\n,]}"u8);

    /// <summary>The reason as a sentence.</summary>
    /// <param name="schema">The schema of the decoder that refused the record.</param>
    /// <param name="record">The record that was refused.</param>
    /// <param name="options">The options of the decoder.</param>
    public string Render(Schema schema, ReadOnlySpan<byte> record, JsonDecoderOptions options)
    {
        var column = Column >= 0 ? schema[Column] : null;
        return Kind switch
        {
            DecodeErrorKind.None => "no error",
            DecodeErrorKind.NotJson when record.IsEmpty => "not JSON: the record is empty",
            DecodeErrorKind.NotJson when Found == JsonToken.End => Text($"not JSON: the record ends unfinished at byte {Position}"),
            DecodeErrorKind.NotJson => Text($"not JSON: unexpected {Byte(record)} at byte {Position}"),
            DecodeErrorKind.NotAnObject => $"a JSON object is expected, found {Describe(Found)}",
            DecodeErrorKind.WrongType => Text(
                $"column {column!.Name}: {Expected(column.Type)} is expected, found {Describe(Found)}{Value(record)} at byte {Position}"),
            DecodeErrorKind.WrongFormat => Text($"column {column!.Name}:{Value(record)} is not {Expected(column.Type)} (byte {Position})"),
            DecodeErrorKind.OutOfRange => Text($"column {column!.Name}:{Value(record)} does not fit {column.Type} (byte {Position})"),
            DecodeErrorKind.MissingRequired when Found == JsonToken.Null => Text($"column {column!.Name} is null at byte {Position} and may not be"),
            DecodeErrorKind.MissingRequired => $"column {column!.Name} is missing and may not be",
            DecodeErrorKind.UnknownField => Text($"unknown field{Value(record)} at byte {Position}"),
            DecodeErrorKind.DuplicateKey => Text($"duplicate key{Value(record)} at byte {Position}"),
            DecodeErrorKind.TooLong => Text($"the record has {record.Length} bytes, more than the {options.MaxRecordBytes} allowed (max_record)"),
            DecodeErrorKind.InvalidUtf8 => Text($"invalid UTF-8 at byte {Position}"),
            DecodeErrorKind.NotFinite => Text($"NaN and Infinity are not JSON{Place(column)} (byte {Position})"),
            DecodeErrorKind.TooDeep => Text($"nested more than {options.MaxDepth} levels deep at byte {Position}"),
            _ => Kind.ToString(),
        };
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Place(Field? column) => column is null ? "" : $", column {column.Name}";

    private static string Describe(JsonToken token) => token switch
    {
        JsonToken.Object => "an object",
        JsonToken.Array => "an array",
        JsonToken.Text => "text",
        JsonToken.Number => "number",
        JsonToken.Boolean => "boolean",
        JsonToken.Null => "null",
        JsonToken.End => "the end",
        _ => "something else",
    };

    private static string Expected(DataType type) => type.Kind switch
    {
        TypeKind.Boolean => "true or false",
        TypeKind.Utf8 => "text",
        TypeKind.Binary => "base64 text",
        TypeKind.Date32 => "a date (YYYY-MM-DD)",
        TypeKind.Time64 => "a time (HH:MM:SS)",
        TypeKind.Timestamp or TypeKind.TimestampTz => "a time stamp (ISO 8601, or a number since 1970)",
        TypeKind.Float32 or TypeKind.Float64 => "a number",
        TypeKind.Decimal128 => $"a decimal ({type})",
        _ => $"a whole number ({type})",
    };

    private string Byte(ReadOnlySpan<byte> record)
    {
        if (Position >= record.Length)
            return "end";
        var value = record[Position];
        return value is > 0x20 and < 0x7F ? $"'{(char)value}'" : string.Create(CultureInfo.InvariantCulture, $"byte 0x{value:X2}");
    }

    // The value as written, up to where a scalar ends, cut.
    private string Value(ReadOnlySpan<byte> record)
    {
        if (Found is JsonToken.Object or JsonToken.Array || Position >= record.Length)
            return "";
        var rest = record[Position..];
        int end;
        if (rest[0] == '"')
        {
            for (end = 1; end < rest.Length && rest[end] != '"'; end++)
                end += rest[end] == '\\' ? 1 : 0;
            end = Math.Min(end + 1, rest.Length);
        }
        else
        {
            end = rest.IndexOfAny(ScalarEnds);
            end = end < 0 ? rest.Length : end;
        }
        var text = Encoding.UTF8.GetString(rest[..Math.Min(end, 4 * MostShown)]);
        return " " + (text.Length > MostShown ? text[..MostShown] + "..." : text);
    }
}
