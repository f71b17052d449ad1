using System.Net;
using System.Text;
using Millrace.Coordination.Sagas;
using Millrace.Host.Settings;
using YamlDotNet.RepresentationModel;

namespace Millrace.Host.Sagas;

/// <summary>
/// A saga as a file: a name and steps, each an HTTP request and the one that takes it back. Requests carry an <c>Idempotency-Key</c>, the
/// same at every try, so that a service can tell a repetition.
/// </summary>
internal sealed record SagaFile(string Name, IReadOnlyList<SagaStep> Steps)
{
    private const int Tries = 3;

    /// <exception cref="SettingsException">A fault, with its place.</exception>
    public static SagaFile Parse(string yaml, string file, HttpClient http, TimeProvider time)
    {
        var top = YamlMappings.Load(yaml, file, "begin with saga: NAME and steps:");
        var root = YamlMappings.Mapping(top, file, "saga", "steps");
        var name = SettingsFile.Text(YamlMappings.Required(root, "saga", top, file), file);
        if (YamlMappings.Required(root, "steps", top, file) is not YamlSequenceNode { Children.Count: > 0 } list)
            throw SettingsFile.Fault(root["steps"], file, "steps are a list of at least one step");
        var steps = new List<SagaStep>();
        foreach (var node in list)
        {
            var step = YamlMappings.Mapping(node, file, "name", "do", "undo");
            var title = SettingsFile.Text(YamlMappings.Required(step, "name", node, file), file);
            if (steps.Exists(s => s.Name == title))
                throw SettingsFile.Fault(step["name"], file, $"two steps are named '{title}'");
            var act = Call(YamlMappings.Required(step, "do", node, file), file, http, time);
            steps.Add(new SagaStep(title, act, step.TryGetValue("undo", out var undo) ? Call(undo, file, http, time) : null));
        }
        return new SagaFile(name, steps);
    }

    private static Func<string, CancellationToken, Task> Call(YamlNode node, string file, HttpClient http, TimeProvider time)
    {
        var parts = YamlMappings.Mapping(node, file, "post", "put", "delete", "body");
        var verbs = parts.Where(p => p.Key != "body").ToArray();
        if (verbs.Length != 1)
            throw SettingsFile.Fault(node, file, "a step makes one request", "write post: URL, put: URL or delete: URL, and body: if there is one");
        var text = SettingsFile.Text(verbs[0].Value, file);
        if (!Uri.TryCreate(text, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
            throw SettingsFile.Fault(verbs[0].Value, file, $"'{text}' is no http or https address");
        var method = new HttpMethod(verbs[0].Key.ToUpperInvariant());
        var body = parts.TryGetValue("body", out var content) ? SettingsFile.Text(content, file) : null;
        return (key, cancellation) => SendAsync(http, time, method, address, body, key, cancellation);
    }

    private static async Task SendAsync(
        HttpClient http, TimeProvider time, HttpMethod method, Uri address, string? body, string key, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            string problem;
            try
            {
                using var request = new HttpRequestMessage(method, address);
                request.Headers.Add("Idempotency-Key", key);
                if (body is not null)
                    request.Content = new StringContent(body, Encoding.UTF8, "application/json");
                using var response = await http.SendAsync(request, cancellation);
                // What a repeated deletion finds gone was deleted, by the try before or by nobody having made it.
                if (response.IsSuccessStatusCode || (method == HttpMethod.Delete && response.StatusCode is (HttpStatusCode.NotFound or HttpStatusCode.Gone)))
                    return;
                problem = $"{method} {address} answered {(int)response.StatusCode}";
                // A refusal stays one; what is busy or broken may be better in a moment.
                if ((int)response.StatusCode < 500 && response.StatusCode is not (HttpStatusCode.TooManyRequests or HttpStatusCode.RequestTimeout))
                    throw new SagaStepException(problem);
            }
            catch (HttpRequestException error)
            {
                problem = $"{method} {address}: {error.Message}";
            }
            catch (TaskCanceledException) when (!cancellation.IsCancellationRequested)
            {
                problem = $"{method} {address} did not answer in time";
            }
            if (attempt == Tries)
                throw new SagaStepException(problem);
            await Task.Delay(TimeSpan.FromMilliseconds(200 * attempt), time, cancellation);
        }
    }
}
