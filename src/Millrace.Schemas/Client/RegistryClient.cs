using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Millrace.Schemas;

/// <summary>No registry answers, or not as one does: what failed may work later.</summary>
public sealed class RegistryUnreachableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A schema with all that it refers to.</summary>
/// <param name="Referenced">Texts of the schemas that it uses, each after those that it uses itself.</param>
public sealed record SchemaWithReferences(int Id, SchemaType Type, string Text, IReadOnlyList<string> Referenced);

/// <summary>
/// Reads schemas from any registry that speaks Confluent's REST API. Calls wait for the answer on the caller's thread; what an id stands
/// for never changes, so callers keep it. Thread-safe.
/// </summary>
public sealed class RegistryClient : IDisposable
{
    private const int MostReferences = 128;
    private const int MostBytes = 16 << 20;

    private readonly HttpClient _http;
    private readonly string _base;

    /// <param name="address">E.g. <c>http://127.0.0.1:8080/schema-registry</c>; a user and password in it are sent as basic authentication.</param>
    /// <param name="patience">Longest wait for one answer.</param>
    /// <param name="login">
    /// Settings as Confluent's clients and librdkafka name them: <c>basic.auth.user.info</c>, <c>ssl.ca.location</c>,
    /// <see cref="HttpTrust.PinnedCertificate"/>; others are passed over.
    /// </param>
    public RegistryClient(Uri address, TimeSpan patience, IReadOnlyDictionary<string, string>? login = null)
    {
        // Redirects are not followed: credentials go to the given address alone.
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        HttpTrust.Apply(handler.SslOptions, login);
        _http = new HttpClient(handler) { Timeout = patience, MaxResponseContentBufferSize = MostBytes };
        var user = address.UserInfo.Length > 0 ? Uri.UnescapeDataString(address.UserInfo) : login?.GetValueOrDefault("basic.auth.user.info");
        if (user is not null)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(user)));
        _base = address.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped).TrimEnd('/');
    }

    /// <summary>The address without credentials, for messages.</summary>
    public string Address => _base;

    /// <summary>What an id stands for; null when the registry does not know it.</summary>
    /// <exception cref="RegistryUnreachableException">It does not answer.</exception>
    public SchemaWithReferences? ById(int id) => Read($"/schemas/ids/{id}", id);

    /// <summary>The newest version of a subject; null when there is none.</summary>
    /// <exception cref="RegistryUnreachableException">It does not answer.</exception>
    public SchemaWithReferences? Newest(string subject) => Read($"/subjects/{Uri.EscapeDataString(subject)}/versions/latest", null);

    /// <summary>Sends a request and gives status and body, whatever they are.</summary>
    /// <exception cref="RegistryUnreachableException">It does not answer.</exception>
    public (int Status, string Body) Send(string method, string path, string? body = null)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), _base + path);
        if (body is not null)
        {
            request.Content = new StringContent(body, Encoding.UTF8);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(RegistryResponse.Json);
        }
        try
        {
            using var response = _http.Send(request);
            using var reader = new StreamReader(response.Content.ReadAsStream(), Encoding.UTF8);
            return ((int)response.StatusCode, reader.ReadToEnd());
        }
        catch (Exception error) when (error is HttpRequestException or TaskCanceledException or IOException)
        {
            throw new RegistryUnreachableException($"the schema registry at {_base} does not answer: {error.Message}", error);
        }
    }

    public void Dispose() => _http.Dispose();

    private SchemaWithReferences? Read(string path, int? id)
    {
        if (Get(path) is not { } json)
            return null;
        using (json)
        {
            try
            {
                var root = json.RootElement;
                var type = root.TryGetProperty("schemaType", out var written) ? SchemaNames.Type(written.GetString() ?? "") : SchemaType.Avro;
                var referenced = new List<string>();
                Collect(root, referenced, new HashSet<string>(StringComparer.Ordinal), 0);
                return new SchemaWithReferences(
                    id ?? root.GetProperty("id").GetInt32(), type ?? throw new FormatException($"it is of type {written}"),
                    root.GetProperty("schema").GetString() ?? "", referenced);
            }
            catch (Exception error) when (error is InvalidOperationException or KeyNotFoundException or FormatException)
            {
                throw new RegistryUnreachableException($"the schema registry at {_base} answers {path} with something else than a schema: {error.Message}", error);
            }
        }
    }

    // Depth first, so that each stands after what it uses.
    private void Collect(JsonElement schema, List<string> into, HashSet<string> seen, int depth)
    {
        if (!schema.TryGetProperty("references", out var references) || references.ValueKind != JsonValueKind.Array)
            return;
        foreach (var item in references.EnumerateArray())
        {
            var reference = RegistryRecords.ReadReference(item);
            var path = $"/subjects/{Uri.EscapeDataString(reference.Subject)}/versions/{reference.Version}?deleted=true";
            if (!seen.Add(path))
                continue;
            if (seen.Count > MostReferences || depth > MostReferences)
                throw new FormatException($"it has more than {MostReferences} references");
            using var other = Get(path) ?? throw new FormatException($"its reference {reference.Subject} version {reference.Version} is not there");
            Collect(other.RootElement, into, seen, depth + 1);
            into.Add(other.RootElement.GetProperty("schema").GetString() ?? "");
        }
    }

    private JsonDocument? Get(string path)
    {
        var (status, body) = Send("GET", path);
        if (status == (int)HttpStatusCode.NotFound)
            return null;
        if (status != 200)
            throw new RegistryUnreachableException($"the schema registry at {_base} answers {path} with {status}: {body[..Math.Min(body.Length, 200)]}");
        try
        {
            return JsonDocument.Parse(body);
        }
        catch (JsonException error)
        {
            throw new RegistryUnreachableException($"what answers at {_base} is no schema registry: {error.Message}", error);
        }
    }
}
