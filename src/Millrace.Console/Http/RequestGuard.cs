using System.Net;
using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Seams;

namespace Millrace.WebConsole.Http;

/// <summary>
/// What stands between a web page somewhere else and this API, which has no login: the Host header must be an address or an allowed
/// name (DNS rebinding reaches loopback under a foreign name), and changes must come from our own page or from no page at all (a
/// foreign page can post a simple form, but neither our content types nor our Origin). No CORS header is ever sent.
/// </summary>
internal sealed class RequestGuard(ConsoleOptions options)
{
    public const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
        + "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly string[] ChangingTypes =
    [
        "application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml",
        // What clients of the schema registry send; like the others, no form can.
        "application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json",
    ];

    /// <exception cref="ConsoleException">The request is refused.</exception>
    public void Check(HttpRequest request)
    {
        if (!HostAllowed(request.Host.Host))
        {
            throw new ConsoleException(
                421, "Foreign host", $"the name '{request.Host.Host}' is not this console's",
                "use localhost or an IP address");
        }
        if (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method))
            return;
        CheckOrigin(request);
        // The login's own form is the one that is taken; it comes from this origin, as was just checked.
        if (HttpMethods.IsPost(request.Method) && !IsChangingType(request.ContentType) && request.Path != LoginPage.Path)
        {
            throw new ConsoleException(
                415, "Unsupported media type", $"a change needs one of {string.Join(", ", ChangingTypes[..2])}, not '{request.ContentType}'",
                "with curl: -H 'content-type: application/json'");
        }
    }

    public static void Decorate(HttpResponse response)
    {
        var headers = response.Headers;
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
    }

    private bool HostAllowed(string host) =>
        IPAddress.TryParse(host.Trim('[', ']'), out _)
        || host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || options.AllowedHosts.Contains(host, StringComparer.OrdinalIgnoreCase);

    private static void CheckOrigin(HttpRequest request)
    {
        // Fetch Metadata (W3C) where the browser sends it; Origin where it does not.
        var site = request.Headers["Sec-Fetch-Site"].ToString();
        var origin = request.Headers.Origin.ToString();
        var foreign = site is not ("" or "same-origin" or "none")
            || (origin.Length > 0 && !origin.Equals($"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase));
        if (foreign)
            throw new ConsoleException(403, "Foreign origin", $"a page of another origin ({(origin.Length > 0 ? origin : site)}) may not change anything here");
    }

    private static bool IsChangingType(string? contentType)
    {
        var end = contentType?.IndexOf(';') ?? -1;
        var type = (end < 0 ? contentType : contentType![..end])?.Trim();
        return ChangingTypes.Contains(type, StringComparer.OrdinalIgnoreCase);
    }
}
