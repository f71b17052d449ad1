using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Millrace.WebConsole.Seams;

namespace Millrace.WebConsole.Http;

/// <summary>
/// Asks for a login before anything but the probes is answered: a person by the page <see cref="LoginPage"/>, other clients for basic authentication
/// (RFC 7617). A browser gets a session cookie, so that the password is checked once; other clients' headers are remembered by a hash. Both end when the user or its password changes. Who is no super
/// user while rules hold may use the schema registry alone, since all else would show and change what the rules guard. Thread-safe.
/// </summary>
internal sealed partial class LoginGuard(IAccess access, ConsoleOptions options, TimeProvider time, ILogger log) : IDisposable
{
    public const string Cookie = "millrace_session";

    private readonly ConcurrentDictionary<string, (Visitor Visitor, DateTimeOffset Ends)> _sessions = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Visitor> _headers = new(StringComparer.Ordinal);

    // Checking passwords is made to cost time: guesses must not take every processor.
    private readonly SemaphoreSlim _checks = new(1);

    /// <summary>Whether a request may go on; false when it is answered already: with the login page, or the way to it.</summary>
    /// <exception cref="ConsoleException">Nobody is logged in, or not as somebody who may do this.</exception>
    public async Task<bool> AdmitAsync(HttpContext context)
    {
        var path = context.Request.Path;
        if (path == "/healthz" || path == "/readyz")
            return true;
        if (await TryServeLoginAsync(context))
            return false;
        var visitor = BySession(context.Request) ?? await ByHeaderAsync(context);
        if (visitor is null && LoginPage.IsFor(context.Request))
        {
            context.Response.StatusCode = 303;
            context.Response.Headers.Location = LoginPage.For(context.Request);
            return false;
        }
        Require(context, visitor);
        if (!visitor!.MayAll && !SchemaEndpoint.IsRegistry(context))
            throw new ConsoleException(403, "Not allowed", MayNot(visitor.User), "super users may: kafka: security: super_users in millrace.yaml");
        return true;
    }

    private static string MayNot(string user) => $"user '{user}' may use the schema registry here and nothing else";

    private static void Require(HttpContext context, Visitor? visitor)
    {
        if (visitor is not null)
            return;
        // A browser would put a box of its own over our page.
        if (!FromPage(context.Request))
            context.Response.Headers.WWWAuthenticate = "Basic realm=\"Millrace\", charset=\"UTF-8\"";
        throw new ConsoleException(401, "Login needed", "this platform asks for a user and a password", "the users are those of the Kafka port: ./millrace user list");
    }

    private static bool FromPage(HttpRequest request) =>
        !request.Headers.ContainsKey("Authorization") && request.Headers["Sec-Fetch-Mode"].ToString() is { Length: > 0 } and not "navigate";

    private async Task<bool> TryServeLoginAsync(HttpContext context)
    {
        var request = context.Request;
        if (await LoginPage.TryServeAssetAsync(context))
            return true;
        if (request.Path == LoginPage.Path)
        {
            if (HttpMethods.IsPost(request.Method))
                await LogInAsync(context);
            else
                await LoginPage.ShowAsync(context, LoginPage.Local(request.Query["to"]));
            return true;
        }
        if (request.Path == LoginPage.Out && HttpMethods.IsPost(request.Method))
        {
            if (request.Cookies[Cookie] is { } token)
                _sessions.TryRemove(token, out _);
            context.Response.Cookies.Delete(Cookie, new CookieOptions { HttpOnly = true, SameSite = SameSiteMode.Strict, Secure = request.IsHttps, Path = "/" });
            context.Response.StatusCode = 204;
            return true;
        }
        if (request.Path != LoginPage.User)
            return false;
        var visitor = BySession(request) ?? await ByHeaderAsync(context);
        Require(context, visitor);
        await LoginPage.TellAsync(context, visitor!.User);
        return true;
    }

    private async Task LogInAsync(HttpContext context)
    {
        IFormCollection form;
        try
        {
            form = await context.Request.ReadFormAsync(new FormOptions { BufferBodyLengthLimit = 16 << 10, ValueCountLimit = 8, ValueLengthLimit = 4096 }, context.RequestAborted);
        }
        catch (Exception error) when (error is InvalidDataException or InvalidOperationException)
        {
            throw new ConsoleException(400, "Bad body", $"the login's form is expected: {error.Message}", "open /login in a browser, or send basic authentication");
        }
        var (user, to) = (form["user"].ToString(), LoginPage.Local(form["to"]));
        var visitor = await CheckPasswordAsync(user, form["password"].ToString(), context.RequestAborted);
        if (visitor is null || !visitor.MayAll)
        {
            await LoginPage.ShowAsync(context, to, user, visitor is null ? "The user or the password is wrong." : MayNot(user) + ".");
            return;
        }
        Remember(context, visitor);
        context.Response.StatusCode = 303;
        context.Response.Headers.Location = to;
    }

    public void Dispose() => _checks.Dispose();

    private Visitor? BySession(HttpRequest request)
    {
        if (request.Cookies[Cookie] is not { } token || !_sessions.TryGetValue(token, out var session))
            return null;
        if (session.Ends > time.GetUtcNow() && access.Holds(session.Visitor))
            return session.Visitor;
        _sessions.TryRemove(token, out _);
        return null;
    }

    private async Task<Visitor?> ByHeaderAsync(HttpContext context)
    {
        var header = context.Request.Headers.Authorization.ToString();
        if (!header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase) || header.Length > 4096)
            return null;
        var key = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(header)));
        if (!_headers.TryGetValue(key, out var visitor) || !access.Holds(visitor))
        {
            _headers.TryRemove(key, out _);
            visitor = await CheckHeaderAsync(header, context.RequestAborted);
            if (visitor is null)
                return null;
            if (_headers.Count >= options.MaxSessions)
                _headers.Clear();
            _headers[key] = visitor;
        }
        // Browsers alone tell where a request comes from; other clients have no use for a cookie.
        if (context.Request.Headers.ContainsKey("Sec-Fetch-Site"))
            Remember(context, visitor);
        return visitor;
    }

    private async Task<Visitor?> CheckHeaderAsync(string header, CancellationToken cancellation)
    {
        string text;
        try
        {
            text = Encoding.UTF8.GetString(Convert.FromBase64String(header[6..].Trim()));
        }
        catch (FormatException)
        {
            return null;
        }
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon <= 0 ? null : await CheckPasswordAsync(text[..colon], text[(colon + 1)..], cancellation);
    }

    private async Task<Visitor?> CheckPasswordAsync(string user, string password, CancellationToken cancellation)
    {
        Visitor? visitor;
        await _checks.WaitAsync(cancellation);
        try
        {
            visitor = await Task.Run(() => access.Check(user, password), cancellation);
            if (visitor is null)
                await Task.Delay(options.FailedLoginDelay, time, cancellation);
        }
        finally
        {
            _checks.Release();
        }
        if (visitor is null)
            LogRefused(log, user[..Math.Min(user.Length, 64)]);
        return visitor;
    }

    private void Remember(HttpContext context, Visitor visitor)
    {
        var now = time.GetUtcNow();
        if (_sessions.Count >= options.MaxSessions)
        {
            foreach (var (old, session) in _sessions)
            {
                if (session.Ends <= now || _sessions.Count >= options.MaxSessions)
                    _sessions.TryRemove(old, out _);
            }
        }
        var token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        _sessions[token] = (visitor, now + options.SessionLength);
        context.Response.Cookies.Append(Cookie, token, new CookieOptions
        {
            HttpOnly = true, SameSite = SameSiteMode.Strict, Secure = context.Request.IsHttps, Path = "/", MaxAge = options.SessionLength,
        });
    }

    [LoggerMessage(13, LogLevel.Warning, "a login over HTTP as {User} failed")]
    private static partial void LogRefused(ILogger log, string user);
}
