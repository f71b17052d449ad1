using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Millrace.Schemas;

/// <summary>A request: the path is relative to where the API is mounted and still encoded, e.g. <c>/subjects/a%2Fb/versions</c>.</summary>
public sealed record RegistryRequest(string Method, string Path, IReadOnlyDictionary<string, string> Query, ReadOnlyMemory<byte> Body);

/// <summary>An answer.</summary>
/// <param name="Text">The body, JSON unless <paramref name="ContentType"/> says otherwise.</param>
public sealed record RegistryResponse(int Status, string Text, string ContentType = RegistryResponse.Json)
{
    public const string Json = "application/vnd.schemaregistry.v1+json";
}

/// <summary>
/// Confluent's Schema Registry REST API over a <see cref="SchemaRegistry"/>: a function of request to response, to be mounted by any HTTP
/// server. Answers and error codes are those of Confluent's API reference. Thread-safe.
/// </summary>
public sealed class RegistryApi(SchemaRegistry registry)
{
    /// <summary>First words of the paths that the API has.</summary>
    private static readonly HashSet<string> Roots = new(StringComparer.Ordinal) { "subjects", "schemas", "config", "mode", "compatibility", "contexts" };

    /// <summary>The registry that is served.</summary>
    public SchemaRegistry Registry => registry;

    /// <summary>Whether a path at the root of a server is one of the API's.</summary>
    public static bool Serves(string path)
    {
        var parts = path.Split('/', 4);
        return parts.Length > 1 && (Roots.Contains(parts[1]) || (parts.Length > 2 && parts[1] == "v1" && parts[2] == "metadata"));
    }

    /// <summary>Answers a request; never throws for what a client did wrong.</summary>
    public async Task<RegistryResponse> HandleAsync(RegistryRequest request)
    {
        try
        {
            return await RouteAsync(request).ConfigureAwait(false);
        }
        catch (RegistryException error)
        {
            return Error(error.Status, error.Code, error.Message);
        }
        catch (JsonException error)
        {
            return Error(400, 400, $"the body is not JSON: {error.Message}");
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException or KeyNotFoundException or DecoderFallbackException)
        {
            return Error(422, 422, $"the body is not what this request takes: {error.Message}");
        }
    }

    private Task<RegistryResponse> RouteAsync(RegistryRequest request)
    {
        var parts = request.Path.Trim('/').Split('/');
        for (var i = 0; i < parts.Length; i++)
            parts[i] = Uri.UnescapeDataString(parts[i]);
        // Clients that are configured with a context put it in front: /contexts/.CONTEXT/subjects/...
        if (parts is ["contexts", var context, .. var rest] && rest.Length > 0)
        {
            if (context is not ("." or ":.:"))
                throw RegistryException.InvalidSubject(context, "contexts other than the default one are not held here");
            parts = rest;
        }
        return (request.Method, parts[0], parts.Length) switch
        {
            ("GET", "", 1) => Done(RegistryJson.Empty),
            ("GET", "contexts", 1) => Done(RegistryJson.Texts(["."])),
            ("GET", "schemas", _) => Done(new SchemaRoutes(registry, request).Get(parts)),
            (_, "subjects", _) => new SubjectRoutes(registry, request).RouteAsync(parts),
            ("POST", "compatibility", 4 or 5) when parts[1] == "subjects" && parts[3] == "versions" => Done(CheckCompatibility(request, parts)),
            (_, "config", 1 or 2) => ConfigAsync(request, parts.Length > 1 ? Subject(parts[1]) : ""),
            (_, "mode", 1 or 2) => ModeAsync(request, parts.Length > 1 ? Subject(parts[1]) : ""),
            ("GET", "v1", 3) when parts[1] == "metadata" && parts[2] == "id" =>
                Done("{\"scope\":{\"path\":[],\"clusters\":{\"kafka-cluster\":\"millrace\",\"schema-registry-cluster\":\"schema-registry\"}}}"),
            ("GET", "v1", 3) when parts[1] == "metadata" && parts[2] == "version" => Done("{\"version\":\"7.9.0\",\"commitId\":\"millrace\"}"),
            _ => throw NotFound(request),
        };
    }

    private string CheckCompatibility(RegistryRequest request, string[] parts)
    {
        var subject = Subject(parts[2]);
        int? version = parts.Length < 5 ? null : Version(parts[4]) ?? 0;
        var faults = registry.CheckCompatibility(subject, version, RegistryJson.ReadSchema(request.Body).Content);
        return RegistryJson.Write(json =>
        {
            json.WriteBoolean("is_compatible", faults.Count == 0);
            if (!Flag(request, "verbose"))
                return;
            json.WriteStartArray("messages");
            foreach (var fault in faults)
                json.WriteStringValue(fault);
            json.WriteEndArray();
        });
    }

    private async Task<RegistryResponse> ConfigAsync(RegistryRequest request, string subject)
    {
        switch (request.Method)
        {
            case "GET":
                // Only subjects fall back, and only when asked to.
                var level = registry.LevelOf(subject, Flag(request, "defaultToGlobal")) ?? throw RegistryException.NoSubjectCompatibility(subject);
                return Ok(RegistryJson.Write(json => json.WriteString("compatibilityLevel", SchemaNames.Of(level))));
            case "PUT":
                var asked = RegistryJson.ReadText(request.Body, "compatibility");
                var set = (asked is null ? null : SchemaNames.Level(asked)) ?? throw RegistryException.InvalidLevel();
                await registry.SetLevelAsync(subject, set).ConfigureAwait(false);
                return Ok(RegistryJson.Write(json => json.WriteString("compatibility", SchemaNames.Of(set))));
            case "DELETE":
                var before = await registry.SetLevelAsync(subject, null).ConfigureAwait(false);
                return Ok(RegistryJson.Write(json => json.WriteString("compatibilityLevel", SchemaNames.Of(before))));
            default:
                throw NotAllowed(request);
        }
    }

    private async Task<RegistryResponse> ModeAsync(RegistryRequest request, string subject)
    {
        switch (request.Method)
        {
            case "GET":
                var mode = registry.ModeOf(subject, Flag(request, "defaultToGlobal")) ?? throw RegistryException.NoSubjectMode(subject);
                return Ok(RegistryJson.Write(json => json.WriteString("mode", SchemaNames.Of(mode))));
            case "PUT":
                var asked = RegistryJson.ReadText(request.Body, "mode");
                var set = (asked is null ? null : SchemaNames.Mode(asked)) ?? throw RegistryException.InvalidMode();
                await registry.SetModeAsync(subject, set, Flag(request, "force")).ConfigureAwait(false);
                return Ok(RegistryJson.Write(json => json.WriteString("mode", SchemaNames.Of(set))));
            case "DELETE":
                var before = await registry.SetModeAsync(subject, null, force: false).ConfigureAwait(false);
                return Ok(RegistryJson.Write(json => json.WriteString("mode", SchemaNames.Of(before))));
            default:
                throw NotAllowed(request);
        }
    }

    /// <summary>A subject as named in a path: the default context's prefix is taken off, other contexts are not held.</summary>
    internal static string Subject(string name)
    {
        if (name.StartsWith(":.:", StringComparison.Ordinal))
            return name[3..];
        return name.StartsWith(":.", StringComparison.Ordinal)
            ? throw RegistryException.InvalidSubject(name, "contexts other than the default one are not held here")
            : name;
    }

    /// <summary>A version as named in a path; null is the newest.</summary>
    internal static int? Version(string written) =>
        written is "latest" or "-1" ? null
        : int.TryParse(written, NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version > 0 ? version
        : throw RegistryException.InvalidVersion(written);

    internal static bool Flag(RegistryRequest request, string name) =>
        request.Query.TryGetValue(name, out var value) && value.Equals("true", StringComparison.OrdinalIgnoreCase);

    internal static RegistryException NotFound(RegistryRequest request) => new(404, $"HTTP 404 Not Found: there is no {request.Method} {request.Path}");

    internal static RegistryException NotAllowed(RegistryRequest request) => new(405, $"HTTP 405 Method Not Allowed: {request.Method} {request.Path}");

    internal static RegistryResponse Ok(string text) => new(200, text);

    internal static Task<RegistryResponse> Done(string text) => Task.FromResult(Ok(text));

    private static RegistryResponse Error(int status, int code, string message) => new(status, RegistryJson.Write(json =>
    {
        json.WriteNumber("error_code", code);
        json.WriteString("message", message);
    }));
}
