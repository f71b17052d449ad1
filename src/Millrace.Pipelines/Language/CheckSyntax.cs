using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Language;

/// <summary>A parsed check: the typed rule, and where its columns and literals stand, so that types can be checked with a place.</summary>
internal sealed record CheckSyntax(CheckPlan Plan, IReadOnlyList<PlacedColumn> Columns, IReadOnlyList<PlacedLiteral> Literals);

internal readonly record struct PlacedColumn(string Name, Span Span);

internal readonly record struct PlacedLiteral(Literal Value, Span Span);
