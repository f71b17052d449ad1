using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Millrace.Schemas;

/// <summary>
/// Confluent's Schema Registry REST API over a <see cref="SchemaRegistry"/>: a function of request to response, to be mounted by any HTTP
/// server. Answers and error codes are those of Confluent's API reference. Thread-safe.
/// </summary>
public sealed class RegistryApi(SchemaRegistry registry)
{
    /// <summary>First words of the paths that the API has.</summary>
    private static readonly HashSet<string> Roots = new(StringComparer.Ordinal) { "subjects", "schemas", "config", "mode", "compatibility", "contexts", "associations", "exporters", "dek-registry" };

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
        if (parts is ["contexts", var context, .. var rest] && (rest.Length > 0 || request.Method == "DELETE"))
        {
            request = request with { Context = QualifiedSubject.ReadContext(context) };
            if (rest.Length == 0)
                return DeleteContextAsync(request.Context);
            parts = rest;
        }
        return (request.Method, parts[0], parts.Length) switch
        {
            ("GET", "", 1) => Done(RegistryJson.Empty),
            ("GET", "contexts", 1) => Done(Contexts(request)),
            ("GET", "schemas", _) => Done(new SchemaRoutes(registry, request).Get(parts)),
            (_, "subjects", _) => new SubjectRoutes(registry, request).RouteAsync(parts),
            ("POST", "compatibility", 4 or 5) when parts[1] == "subjects" && parts[3] == "versions" => Done(CheckCompatibility(request, parts)),
            (_, "config", 1 or 2) => new SettingRoutes(registry, request, Settings(request, parts)).ConfigAsync(),
            (_, "mode", 1 or 2) => new SettingRoutes(registry, request, Settings(request, parts)).ModeAsync(),
            // Clients ask for the subject that a topic is associated with before they take TOPIC-value: there is none.
            ("GET", "associations", > 2) when parts[1] == "resources" => Done("[]"),
            ("GET", "v1", 3) when parts[1] == "metadata" && parts[2] == "id" =>
                Done("{\"scope\":{\"path\":[],\"clusters\":{\"kafka-cluster\":\"millrace\",\"schema-registry-cluster\":\"schema-registry\"}}}"),
            ("GET", "v1", 3) when parts[1] == "metadata" && parts[2] == "version" => Done("{\"version\":\"8.0.0\",\"commitId\":\"millrace\"}"),
            // Of Confluent's other editions: who asks is told so, in the words of one that has none.
            (_, "exporters", _) => throw new RegistryException(404, "HTTP 404 Not Found: schema exporters are not held here"),
            (_, "dek-registry", _) => throw new RegistryException(404, "HTTP 404 Not Found: the registry of encryption keys is not held here"),
            _ => throw NotFound(request),
        };
    }

    private string Contexts(RegistryRequest request)
    {
        var prefix = request.Value("contextPrefix") ?? "";
        return RegistryJson.Texts(request.Page(registry.Contexts().Where(c => c.StartsWith(prefix, StringComparison.Ordinal))));
    }

    private async Task<RegistryResponse> DeleteContextAsync(string context)
    {
        await registry.DeleteContextAsync(context).ConfigureAwait(false);
        return new RegistryResponse(204, "");
    }

    private string CheckCompatibility(RegistryRequest request, string[] parts)
    {
        var subject = Subject(registry, request, parts[2]);
        int? version = parts.Length < 5 ? null : Version(parts[4]) ?? 0;
        var faults = registry.CheckCompatibility(subject, version, RegistryJson.ReadSchema(request));
        return RegistryJson.Write(json =>
        {
            json.WriteBoolean("is_compatible", faults.Count == 0);
            if (!request.Flag("verbose"))
                return;
            json.WriteStartArray("messages");
            foreach (var fault in faults)
                json.WriteStringValue(fault);
            json.WriteEndArray();
        });
    }

    /// <summary>A subject as named in a path: with the path's context if it names none, and what it is an alias of.</summary>
    internal static string Subject(SchemaRegistry registry, RegistryRequest request, string name) =>
        registry.Unalias(QualifiedSubject.Normalize(QualifiedSubject.In(request.Context, name)));

    // Whose settings: a subject's, or those of the path's context.
    private static string Settings(RegistryRequest request, string[] parts) =>
        QualifiedSubject.Normalize(QualifiedSubject.In(request.Context, parts.Length > 1 ? parts[1] : ""));

    /// <summary>A version as named in a path; null is the newest.</summary>
    internal static int? Version(string written) =>
        written is "latest" or "-1" ? null
        : int.TryParse(written, NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version > 0 ? version
        : throw RegistryException.InvalidVersion(written);

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
