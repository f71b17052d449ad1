namespace Millrace.Schemas;

/// <summary><c>/config</c> and <c>/mode</c> of a subject, a context, or all.</summary>
/// <param name="subject">Empty for all; a context's name for it.</param>
internal sealed class SettingRoutes(SchemaRegistry registry, RegistryRequest request, string subject)
{
    public async Task<RegistryResponse> ConfigAsync()
    {
        switch (request.Method)
        {
            case "GET":
                // Only who asks for it is told what holds from elsewhere.
                var config = request.Flag("defaultToGlobal") ? registry.EffectiveConfig(subject) : registry.ConfigOf(subject);
                return Config(config ?? throw RegistryException.NoSubjectCompatibility(subject), "compatibilityLevel");
            case "PUT":
                var body = RegistryJson.ReadObject(request.Body);
                return Config(await registry.SetConfigAsync(subject, old => old.With(body, "compatibility")).ConfigureAwait(false), "compatibility");
            case "DELETE":
                return Config(await registry.DeleteConfigAsync(subject).ConfigureAwait(false), "compatibilityLevel");
            default:
                throw RegistryApi.NotAllowed(request);
        }
    }

    public async Task<RegistryResponse> ModeAsync()
    {
        switch (request.Method)
        {
            case "GET":
                var mode = request.Flag("defaultToGlobal") ? registry.EffectiveMode(subject) : registry.ModeOf(subject) ?? throw RegistryException.NoSubjectMode(subject);
                return Mode(mode);
            case "PUT":
                var asked = RegistryJson.ReadText(request.Body, "mode");
                var set = (asked is null ? null : SchemaNames.Mode(asked)) ?? throw RegistryException.InvalidMode();
                await registry.SetModeAsync(subject, set, request.Flag("force")).ConfigureAwait(false);
                return Mode(set);
            case "DELETE":
                return Mode(await registry.DeleteModeAsync(subject, request.Flag("recursive")).ConfigureAwait(false));
            default:
                throw RegistryApi.NotAllowed(request);
        }
    }

    private static RegistryResponse Config(SubjectConfig config, string levelName) => RegistryApi.Ok(RegistryJson.Write(json => config.Write(json, levelName)));

    private static RegistryResponse Mode(RegistryMode? mode) => RegistryApi.Ok(RegistryJson.Write(json =>
    {
        if (mode is { } set)
            json.WriteString("mode", SchemaNames.Of(set));
    }));
}
