using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Millrace.Host.CommandLine;

/// <summary>How JSON answers look as cells of a table.</summary>
internal static class Values
{
    public static string Text(JsonNode? node) => node switch
    {
        null => "",
        JsonValue value when value.GetValueKind() == JsonValueKind.String => value.GetValue<string>(),
        JsonValue value when value.GetValueKind() == JsonValueKind.Number => value.ToJsonString(),
        _ => node.ToJsonString(),
    };

    public static IEnumerable<JsonNode> Rows(JsonNode? array) => (array as JsonArray ?? []).Where(n => n is not null).Select(n => n!);

    public static string Sum(IEnumerable<JsonNode> rows, string name) =>
        rows.Sum(r => r[name] is JsonValue v && v.GetValueKind() == JsonValueKind.Number ? v.GetValue<double>() : 0)
            .ToString("0.##", CultureInfo.InvariantCulture);

    public static string Bytes(JsonNode? node) =>
        Bytes(node is JsonValue v && v.GetValueKind() == JsonValueKind.Number ? v.GetValue<double>() : 0);

    public static string Bytes(double bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        var unit = 0;
        for (; bytes >= 1024 && unit < units.Length - 1; unit++)
            bytes /= 1024;
        return bytes.ToString(unit == 0 ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + units[unit];
    }

    /// <summary>Tells that something was done: a sentence, or JSON where asked.</summary>
    public static void Done(ParseResult parsed, string sentence, JsonNode json)
    {
        if (parsed.GetValue(MillraceCommand.Json))
            Terminal.WriteJson(json);
        else
            Console.Out.WriteLine(sentence);
    }
}
