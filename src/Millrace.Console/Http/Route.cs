using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Seams;

namespace Millrace.WebConsole.Http;

/// <summary>One route: how it is served and how it is described. The OpenAPI document is made of these and cannot say anything else.</summary>
internal sealed record Route(string Method, string Path, string Tag, string Id, string Summary)
{
    public string? Description { get; init; }

    public IReadOnlyList<Parameter> Parameters { get; init; } = [];

    public RequestBody? Body { get; init; }

    public required IReadOnlyList<Answer> Answers { get; init; }

    public required RequestDelegate Serve { get; init; }
}

/// <param name="ContentTypes">Accepted media types, the first is the one to show.</param>
/// <param name="Type">The JSON body's type; null for text.</param>
internal sealed record RequestBody(string Description, IReadOnlyList<string> ContentTypes, JsonTypeInfo? Type, string? Example = null);

internal sealed record Answer(int Status, string Description, string? ContentType = "application/json", JsonTypeInfo? Type = null)
{
    /// <summary>A problem that this route can answer with.</summary>
    public static Answer Problem(int status, string description) =>
        new(status, description, "application/problem+json", Wire.ConsoleJson.Relaxed.Problem);
}

internal enum ParameterPlace
{
    Path,
    Query,
}

/// <summary>A parameter that checks its own value, so that its bounds are told and kept in one place.</summary>
internal abstract record Parameter(string Name, ParameterPlace Place, string Description, bool Required)
{
    public abstract JsonObject Schema();

    protected string? Raw(HttpContext context)
    {
        if (Place == ParameterPlace.Path)
            return (string?)context.Request.RouteValues[Name];
        var values = context.Request.Query[Name];
        return values.Count == 0 ? null : values[0];
    }

    protected ConsoleException Wrong(string expected, string given) =>
        new(400, "Bad parameter", $"'{Name}' must be {expected}, not '{given}'");
}

internal sealed record TextParameter(string Name, ParameterPlace Place, string Description, bool Required = true)
    : Parameter(Name, Place, Description, Required)
{
    public override JsonObject Schema() => new() { ["type"] = "string" };

    public string Read(HttpContext context) =>
        ReadOptional(context) ?? throw new ConsoleException(400, "Missing parameter", $"'{Name}' is missing: {Description}");

    public string? ReadOptional(HttpContext context) => Raw(context) is { Length: > 0 } text ? text : null;
}

internal sealed record IntegerParameter(string Name, ParameterPlace Place, string Description, long Default, long Least, long Most)
    : Parameter(Name, Place, Description, Required: Place == ParameterPlace.Path)
{
    public override JsonObject Schema() => new()
    {
        ["type"] = "integer", ["default"] = Default, ["minimum"] = Least, ["maximum"] = Most,
    };

    public long Read(HttpContext context)
    {
        if (Raw(context) is not { Length: > 0 } text)
            return Default;
        return long.TryParse(text, out var value) && value >= Least && value <= Most
            ? value
            : throw Wrong($"a whole number from {Least} to {Most}", text);
    }
}

internal sealed record FlagParameter(string Name, string Description)
    : Parameter(Name, ParameterPlace.Query, Description, Required: false)
{
    public override JsonObject Schema() => new() { ["type"] = "boolean", ["default"] = false };

    public bool Read(HttpContext context) => Raw(context) switch
    {
        null or "false" or "0" => false,
        "" or "true" or "1" => true,
        var text => throw Wrong("true or false", text),
    };
}
