using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Pages;

namespace Millrace.WebConsole.Http;

/// <summary>The form at <c>/login</c> for people; other clients send basic authentication. It works without scripts.</summary>
internal static class LoginPage
{
    public const string Path = "/login";
    public const string User = "/login/user";
    public const string Out = "/logout";

    private const string Style = "/login/style.css";
    private const string Mark = "/login/mark.svg";

    // The form goes to this server alone, and nothing on the page is run.
    private const string ContentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

    private static readonly string Template = Encoding.UTF8.GetString(PageFiles.Resource("login.html"));

    /// <summary>Whether a person opens a page, who can be shown a form.</summary>
    public static bool IsFor(HttpRequest request) =>
        HttpMethods.IsGet(request.Method) && !request.Headers.ContainsKey("Authorization")
        && (request.Headers["Sec-Fetch-Mode"].ToString() is { Length: > 0 } mode
            ? mode == "navigate"
            : request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase));

    /// <summary>Where the form is, with the page that was asked for.</summary>
    public static string For(HttpRequest request) => $"{Path}?to={Uri.EscapeDataString(Local(request.Path + request.QueryString))}";

    /// <summary>The page to go to after the login, if it is one of this server.</summary>
    public static string Local(string? to) =>
        to is { Length: > 0 and <= 2048 } && to[0] == '/' && !(to.Length > 1 && to[1] is '/' or '\\') && !to.Any(char.IsControl) ? to : "/";

    /// <summary>Sends the style or the picture; false when the path is neither.</summary>
    public static async Task<bool> TryServeAssetAsync(HttpContext context)
    {
        var path = context.Request.Path;
        if (path != Style && path != Mark)
            return false;
        context.Response.ContentType = path == Style ? "text/css; charset=utf-8" : "image/svg+xml";
        context.Response.Headers.CacheControl = "max-age=3600";
        await context.Response.Body.WriteAsync(PageFiles.Resource(path == Style ? "login.css" : "mark.svg"), context.RequestAborted);
        return true;
    }

    /// <summary>Tells the console's page who is logged in; null where there is no login.</summary>
    public static Task TellAsync(HttpContext context, string? user) => Replies.TextAsync(
        context, $"{{\"user\":{(user is null ? "null" : $"\"{System.Text.Json.JsonEncodedText.Encode(user)}\"")}}}", "application/json; charset=utf-8");

    /// <param name="context">The request.</param>
    /// <param name="to">Where to go then.</param>
    /// <param name="user">Who tried.</param>
    /// <param name="wrong">Why it did not succeed.</param>
    public static async Task ShowAsync(HttpContext context, string to, string user = "", string? wrong = null)
    {
        var page = Template
            .Replace("{{wrong}}", wrong is null ? "" : $"<p class=\"wrong\" role=\"alert\">{WebUtility.HtmlEncode(wrong)}</p>", StringComparison.Ordinal)
            .Replace("{{to}}", WebUtility.HtmlEncode(to), StringComparison.Ordinal)
            .Replace("{{user}}", WebUtility.HtmlEncode(user), StringComparison.Ordinal);
        context.Response.Headers.ContentSecurityPolicy = ContentSecurityPolicy;
        // Without a referrer a browser does not say which page a form comes from, and the form must come from this one.
        context.Response.Headers["Referrer-Policy"] = "same-origin";
        await Replies.TextAsync(context, page, "text/html; charset=utf-8", wrong is null ? 200 : 403);
    }
}
