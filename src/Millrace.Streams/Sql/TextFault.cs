namespace Millrace.Streams.Sql;

/// <summary>A fault in a text that a user wrote: where in the text (UTF-16 characters from 0), what, and what would be right.</summary>
/// <param name="Code">A stable slug, e.g. <c>unknown-column</c>.</param>
public sealed record TextFault(int Offset, int Length, string Code, string Message, string? Hint = null);

/// <summary>A part of a text, in UTF-16 characters.</summary>
public readonly record struct Span(int Offset, int Length)
{
    public int End => Offset + Length;
}
