using System.Net;
using System.Text;
using Millrace.WebConsole.Http;

namespace Millrace.WebConsole.OpenApi;

/// <summary>The API as one static page, written from the same route table as the OpenAPI document. No script, no outside resource.</summary>
internal static class ReferencePage
{
    public const string StylePath = "/reference.css";

    public static string Build(IReadOnlyList<Route> routes, string version)
    {
        var html = new StringBuilder(32 << 10);
        html.Append($"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>Millrace HTTP API</title>
            <link rel="icon" href="/mark.svg" type="image/svg+xml">
            <link rel="stylesheet" href="{StylePath}">
            </head>
            <body>
            <header><a class="home" href="/">Millrace</a><span>HTTP API {Text(version)}</span><a href="/openapi.json">openapi.json</a></header>
            <div class="page">
            <nav aria-label="Routes">

            """);
        foreach (var group in routes.GroupBy(r => r.Tag))
        {
            html.Append($"<h2>{Text(group.Key)}</h2><ul>");
            foreach (var route in group)
                html.Append($"<li><a href=\"#{route.Id}\"><b class=\"{route.Method.ToLowerInvariant()}\">{route.Method}</b> {Text(route.Path)}</a></li>");
            html.Append("</ul>\n");
        }
        html.Append("</nav>\n<main>\n<h1>HTTP API</h1>\n<p>Everything that this console shows, for programs. Errors are problem details (RFC 9457) with a hint. ")
            .Append("Changes need a JSON or YAML content type and must not come from a page of another origin.</p>\n");
        foreach (var route in routes)
            Append(html, route);
        html.Append("</main>\n</div>\n</body>\n</html>\n");
        return html.ToString();
    }

    private static void Append(StringBuilder html, Route route)
    {
        html.Append($"<section id=\"{route.Id}\">\n<h2><b class=\"{route.Method.ToLowerInvariant()}\">{route.Method}</b> <code>{Text(route.Path)}</code></h2>\n");
        html.Append($"<p>{Text(route.Summary)}.{(route.Description is null ? "" : " " + Text(route.Description))}</p>\n");
        if (route.Parameters.Count > 0)
        {
            html.Append("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>parameter</th><th>in</th><th>type</th><th>meaning</th></tr></thead><tbody>\n");
            foreach (var parameter in route.Parameters)
            {
                html.Append($"<tr><td><code>{Text(parameter.Name)}</code></td><td>{parameter.Place.ToString().ToLowerInvariant()}</td>")
                    .Append($"<td>{Text(TypeOf(parameter))}</td><td>{Text(parameter.Description)}</td></tr>\n");
            }
            html.Append("</tbody></table></div>\n");
        }
        if (route.Body is { } body)
            html.Append($"<p>Body: {Text(body.Description)}, as <code>{Text(body.ContentTypes[0])}</code>.</p>\n");
        html.Append("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>answer</th><th>body</th><th>meaning</th></tr></thead><tbody>\n");
        foreach (var answer in route.Answers)
        {
            var type = answer.Type is null ? answer.ContentType?.Split(';')[0] ?? "" : answer.Type.Type.Name;
            html.Append($"<tr><td>{answer.Status}</td><td><code>{Text(type)}</code></td><td>{Text(answer.Description)}</td></tr>\n");
        }
        html.Append($"</tbody></table></div>\n<pre tabindex=\"0\"><code>{Text(Curl(route))}</code></pre>\n</section>\n");
    }

    private static string TypeOf(Parameter parameter) => parameter switch
    {
        IntegerParameter { Least: long.MinValue } i => $"integer, else {i.Default}",
        IntegerParameter i => $"integer {i.Least} to {i.Most}, else {i.Default}",
        FlagParameter => "true or false",
        _ => "text",
    };

    private static string Curl(Route route)
    {
        var line = new StringBuilder("curl ");
        if (route.Tag == "platform" && route.Id == "listenEvents")
            line.Append("-N ");
        if (route.Method != "GET")
            line.Append("-X ").Append(route.Method).Append(' ');
        if (route.Body is { } body)
        {
            line.Append($"-H 'content-type: {body.ContentTypes[0]}' ");
            line.Append(body.Type is null ? "--data-binary @pipeline.yaml " : $"-d '{body.Example}' ");
        }
        else if (route.Method == "POST")
        {
            line.Append("-H 'content-type: application/json' ");
        }
        return line.Append("http://localhost:8080").Append(route.Path.Replace("{", "$").Replace("}", "")).ToString();
    }

    private static string Text(string value) => WebUtility.HtmlEncode(value);
}
