using System.Net;
using System.Net.Http.Headers;

namespace Millrace.Streams.Alerts;

/// <summary>Posts alerts over HTTP. Thread-safe.</summary>
public sealed class HttpAlertSender : IAlertSender, IDisposable
{
    private readonly HttpClient _client;

    /// <param name="timeout">Longest wait for one answer.</param>
    public HttpAlertSender(TimeSpan? timeout = null)
    {
        _client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
        {
            Timeout = timeout ?? TimeSpan.FromSeconds(10),
        };
    }

    public async Task PostAsync(Uri address, ReadOnlyMemory<byte> json, string idempotencyKey, CancellationToken cancellation)
    {
        using var content = new ReadOnlyMemoryContent(json);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = content };
        request.Headers.Add("Idempotency-Key", idempotencyKey);
        HttpResponseMessage answer;
        try
        {
            answer = await _client.SendAsync(request, cancellation);
        }
        catch (HttpRequestException error)
        {
            throw new AlertRefusedException($"not reachable ({error.HttpRequestError})", retry: true);
        }
        catch (TaskCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new AlertRefusedException($"no answer within {_client.Timeout.TotalSeconds:0} s", retry: true);
        }
        using (answer)
        {
            if (answer.IsSuccessStatusCode)
                return;
            var later = answer.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests || (int)answer.StatusCode >= 500;
            throw new AlertRefusedException($"answered {(int)answer.StatusCode}", later);
        }
    }

    public void Dispose() => _client.Dispose();
}
