using Millrace.Columnar;

namespace Millrace.Query;

/// <summary>A column of a result. Names may stand twice; the batches' schemas make them distinct by a suffix.</summary>
/// <param name="Name">As the statement calls it.</param>
/// <param name="Type">How the batches hold it.</param>
/// <param name="SqlType">What SQL calls it; tells apart what batches hold alike, e.g. <c>UUID</c> and <c>JSON</c> in UTF-8 columns.</param>
public sealed record SqlColumn(string Name, DataType Type, string SqlType);
