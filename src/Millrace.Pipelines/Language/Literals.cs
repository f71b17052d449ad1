using System.Globalization;
using Millrace.Columnar;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Language;

/// <summary>Constants of checks: reading them, showing them, and fitting them to a column's type.</summary>
internal static class Literals
{
    /// <summary>The literal that a token writes, or null.</summary>
    public static Literal? Parse(Token token) => token.Kind switch
    {
        TokenKind.String => new Literal.Text(token.Value),
        TokenKind.Word when token.Is("true") => new Literal.Boolean(true),
        TokenKind.Word when token.Is("false") => new Literal.Boolean(false),
        TokenKind.Number => ParseNumber(token.Value.Replace("_", "", StringComparison.Ordinal)),
        _ => null,
    };

    private static Literal? ParseNumber(string text)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer))
            return new Literal.Integer(integer);
        const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(text, style, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)
            ? new Literal.Number(number, text)
            : null;
    }

    /// <summary>Sign of the comparison, or null when the two cannot be compared.</summary>
    public static int? Compare(Literal a, Literal b) => (a, b) switch
    {
        (Literal.Integer x, Literal.Integer y) => x.Value.CompareTo(y.Value),
        (Literal.Text x, Literal.Text y) => string.CompareOrdinal(x.Value, y.Value),
        (Literal.Instant x, Literal.Instant y) => x.Micros.CompareTo(y.Micros),
        _ when Numeric(a) is { } x && Numeric(b) is { } y => x.CompareTo(y),
        _ => null,
    };

    public static string Show(Literal literal) => literal switch
    {
        Literal.Integer integer => integer.Value.ToString(CultureInfo.InvariantCulture),
        Literal.Number number => number.Written,
        Literal.Text text => $"'{text.Value}'",
        Literal.Boolean boolean => boolean.Value ? "true" : "false",
        Literal.Instant instant => $"'{DateTimeOffset.UnixEpoch.AddTicks(instant.Micros * 10):O}'",
        _ => throw new InvalidOperationException($"no such literal: {literal}"),
    };

    /// <summary>The literal as the column's type wants it, or null when it does not fit; times written as text become instants.</summary>
    public static Literal? Fit(Literal literal, DataType type) => type.Kind switch
    {
        TypeKind.Boolean => literal as Literal.Boolean,
        >= TypeKind.Int8 and <= TypeKind.Decimal128 => literal is Literal.Integer or Literal.Number ? literal : null,
        TypeKind.Utf8 => literal as Literal.Text,
        TypeKind.Date32 or TypeKind.Timestamp or TypeKind.TimestampTz => literal is Literal.Text text ? ParseInstant(text.Value) : literal as Literal.Instant,
        _ => null,
    };

    /// <summary>What a column of the type is compared with, for messages.</summary>
    public static string Wanted(DataType type) => type.Kind switch
    {
        TypeKind.Boolean => "true or false",
        >= TypeKind.Int8 and <= TypeKind.Decimal128 => "a number",
        TypeKind.Utf8 => "'text'",
        TypeKind.Date32 => "a date: '2026-01-31'",
        TypeKind.Timestamp or TypeKind.TimestampTz => "a time: '2026-01-31T12:00:00Z'",
        _ => "nothing: the type cannot be compared",
    };

    private static Literal.Instant? ParseInstant(string text) =>
        DateTimeOffset.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var instant)
        && text.Length >= 8 && char.IsAsciiDigit(text[0])
            ? new Literal.Instant((instant.Ticks - DateTimeOffset.UnixEpoch.Ticks) / 10)
            : null;

    private static double? Numeric(Literal literal) => literal switch
    {
        Literal.Integer integer => integer.Value,
        Literal.Number number => number.Value,
        _ => null,
    };
}
