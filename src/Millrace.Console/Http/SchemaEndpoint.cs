using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Millrace.Schemas;

namespace Millrace.WebConsole.Http;

/// <summary>
/// The schema registry under <c>/schema-registry</c>, and its paths at the root too, where serializers that know only host and port look.
/// </summary>
internal static class SchemaEndpoint
{
    private const string Mount = "/schema-registry";

    /// <summary>Whether a request is for the registry.</summary>
    public static bool IsRegistry(HttpContext context) => PathOf(context) is not null;

    /// <summary>Answers when the path is the registry's and there is one; else false.</summary>
    public static async Task<bool> TryServeAsync(HttpContext context, RegistryApi? registry)
    {
        if (registry is null)
            return false;
        if (PathOf(context) is not { } path)
            return false;
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var request = new RegistryRequest(
            context.Request.Method == "HEAD" ? "GET" : context.Request.Method, path,
            context.Request.Query.ToDictionary(q => q.Key, q => (IReadOnlyList<string>)[.. q.Value.OfType<string>()], StringComparer.Ordinal), body.ToArray());
        // Comparing schemas takes the processor for a while; the server's threads do not wait for it.
        var answer = await Task.Run(() => registry.HandleAsync(request), context.RequestAborted);
        var text = Encoding.UTF8.GetBytes(answer.Text);
        context.Response.StatusCode = answer.Status;
        if (answer.Text.Length == 0)
            return true;
        context.Response.ContentType = answer.ContentType;
        context.Response.ContentLength = text.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(text, context.RequestAborted);
        return true;
    }

    /// <summary>The path as the registry names it; null when it is none of its own.</summary>
    private static string? PathOf(HttpContext context)
    {
        // The raw target keeps %2F in a subject's name apart from a slash.
        var path = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.Split('?', 2)[0];
        if (path.StartsWith(Mount, StringComparison.Ordinal) && (path.Length == Mount.Length || path[Mount.Length] == '/'))
            return path[Mount.Length..];
        // A route of the API's own is never the registry's, whatever its name is.
        return context.GetEndpoint() is null && RegistryApi.Serves(path) ? path : null;
    }
}
