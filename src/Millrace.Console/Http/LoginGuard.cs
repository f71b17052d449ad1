using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Millrace.WebConsole.Seams;

namespace Millrace.WebConsole.Http;

/// <summary>
/// Asks for a login (RFC 7617, basic) before anything but the probes is answered. A browser gets a session cookie with its first answer, so that
/// the password is checked once; other clients' headers are remembered by a hash. Both end when the user or its password changes. Who is no super
/// user while rules hold may use the schema registry alone, since all else would show and change what the rules guard. Thread-safe.
/// </summary>
internal sealed partial class LoginGuard(IAccess access, ConsoleOptions options, TimeProvider time, ILogger log) : IDisposable
{
    public const string Cookie = "millrace_session";

    private readonly ConcurrentDictionary<string, (Visitor Visitor, DateTimeOffset Ends)> _sessions = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Visitor> _headers = new(StringComparer.Ordinal);

    // Checking passwords is made to cost time: guesses must not take every processor.
    private readonly SemaphoreSlim _checks = new(1);

    /// <exception cref="ConsoleException">Nobody is logged in, or not as somebody who may do this.</exception>
    public async Task CheckAsync(HttpContext context)
    {
        var path = context.Request.Path;
        if (path == "/healthz" || path == "/readyz")
            return;
        var visitor = BySession(context.Request) ?? await ByHeaderAsync(context);
        if (visitor is null)
        {
            context.Response.Headers.WWWAuthenticate = "Basic realm=\"Millrace\", charset=\"UTF-8\"";
            throw new ConsoleException(401, "Login needed", "this platform asks for a user and a password", "the users are those of the Kafka port: ./millrace user list");
        }
        if (!visitor.MayAll && !SchemaEndpoint.IsRegistry(context))
        {
            throw new ConsoleException(
                403, "Not allowed", $"user '{visitor.User}' may use the schema registry here and nothing else", "super users may: kafka: security: super_users in millrace.yaml");
        }
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
            visitor = await CheckPasswordAsync(header, context.RequestAborted);
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

    private async Task<Visitor?> CheckPasswordAsync(string header, CancellationToken cancellation)
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
        if (colon <= 0)
            return null;
        Visitor? visitor;
        await _checks.WaitAsync(cancellation);
        try
        {
            visitor = await Task.Run(() => access.Check(text[..colon], text[(colon + 1)..]), cancellation);
            if (visitor is null)
                await Task.Delay(options.FailedLoginDelay, time, cancellation);
        }
        finally
        {
            _checks.Release();
        }
        if (visitor is null)
            LogRefused(log, text[..Math.Min(colon, 64)]);
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
